package simulator

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault makes calls fail. It matches the calls with its Operation and Mailbox, and acts on
// them from the Nth on, Count times, with Probability each time. When it acts it first
// waits for Latency. Then one of Hang, Reset and Status follows, in place of the effect, or
// with After, after it.
//
// With After the call has its effect, but the client does not get the answer: Hang delays
// it and then drops the connection, Reset drops it at once, Status replaces the answer. If
// there is none of them but a RetryAfter, the client gets the answer with that header.
type Fault struct {
	ID          int           `json:"id"`          // set by AddFault
	Operation   Operation     `json:"operation"`   // "" is any
	Mailbox     string        `json:"mailbox"`     // "" is any
	Nth         int           `json:"nth"`         // number of the first matching call that it acts on; 0 is 1
	Count       int           `json:"count"`       // how many times it acts; 0 is once if Nth is set, otherwise always
	Probability float64       `json:"probability"` // 0 is always, like 1
	After       bool          `json:"after"`
	Status      int           `json:"status"`
	Code        string        `json:"code"`       // "" is UnknownError
	Message     string        `json:"message"`    // of a token fault: AADSTS and a number, and a text if wanted
	RetryAfter  string        `json:"retryAfter"` // value of the header
	Reset       bool          `json:"reset"`
	Hang        time.Duration `json:"hang"`
	Latency     time.Duration `json:"latency"`
	Seen        int           `json:"seen"`  // matching calls so far
	Acted       int           `json:"acted"` // how many times it acted so far
}

// faultList has the faults in the order in which they were added. The simulator's mutex
// guards it.
type faultList struct {
	faults []*Fault
	last   int
	random *rand.Rand
}

func (l *faultList) seed(seed uint64) { l.random = rand.New(rand.NewPCG(seed, seed)) }

func (l *faultList) clear() { l.faults = nil }

// AddFault adds a fault and returns its id. It returns an error if the operation is unknown,
// a number is out of range, or the fault would do nothing.
func (s *Simulator) AddFault(f Fault) (int, error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.last++
	f.ID, f.Seen, f.Acted = s.faults.last, 0, 0
	f.Mailbox = strings.ToLower(f.Mailbox)
	setDefault(&f.Code, "UnknownError")
	s.faults.faults = append(s.faults.faults, &f)
	return f.ID, nil
}

func (f Fault) check() error {
	switch {
	case f.Operation != "" && !slices.Contains(operations(), f.Operation):
		return fmt.Errorf("unknown operation %q; known are %v", f.Operation, operations())
	case f.Probability < 0 || f.Probability > 1:
		return fmt.Errorf("probability %v is not between 0 and 1", f.Probability)
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.Nth < 0 || f.Count < 0 || f.Hang < 0 || f.Latency < 0:
		return fmt.Errorf("nth, count, hang and latency must not be negative")
	case f.Status == 0 && !f.Reset && f.Hang == 0 && f.Latency == 0 && (f.RetryAfter == "" || !f.After):
		return fmt.Errorf("the fault has no effect: set status, reset, hang or latency, or retryAfter with after")
	}
	return nil
}

// Faults returns copies of the faults, with their counts.
func (s *Simulator) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Fault{}
	for _, f := range s.faults.faults {
		list = append(list, *f)
	}
	return list
}

// ClearFaults removes all faults.
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.clear()
}

// takeFault counts the call in all faults that match it, and returns the first one that acts
// on it, or the zero Fault.
func (s *Simulator) takeFault(c *call) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken Fault
	for _, f := range s.faults.faults {
		if f.matches(c) && f.due(s.faults.random) && taken.ID == 0 {
			f.Acted++
			taken = *f
		}
	}
	return taken
}

func (f *Fault) matches(c *call) bool {
	return (f.Operation == "" || f.Operation == c.op) && (f.Mailbox == "" || f.Mailbox == c.mailbox)
}

// due counts a matching call and reports whether the fault acts on it.
func (f *Fault) due(random *rand.Rand) bool {
	f.Seen++
	count := f.Count
	if count == 0 && f.Nth > 0 {
		count = 1
	}
	if f.Seen < f.Nth || count > 0 && f.Acted >= count {
		return false
	}
	return f.Probability == 0 || random.Float64() < f.Probability
}

// apply returns result as the fault changes it: the result of the call, or an empty one in
// place of it. done is false if the fault only adds latency or a header.
func (f Fault) apply(c *call, result outcome) (_ outcome, done bool) {
	switch {
	case f.Hang > 0:
		f.hang(c)
		result.lost = true
	case f.Reset:
		result.lost = true
	case f.Status != 0:
		result.response = f.response(c)
	default:
		return result, false
	}
	return result, true
}

// hang waits for f.Hang, until the client disconnects, or until the simulator is closed.
func (f Fault) hang(c *call) {
	timer := time.NewTimer(f.Hang)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.r.Context().Done():
	case <-c.sim.closed:
	}
}

// response returns the fault's answer, in the form of the endpoint that was called.
func (f Fault) response(c *call) response {
	var a response
	switch {
	case f.Status < http.StatusBadRequest:
		a = emptyResponse(f.Status)
	case c.op == OpToken:
		a = f.oauthError().response(c)
	default:
		a = (&apiError{status: f.Status, code: f.Code, text: f.Message}).response(c)
	}
	f.setRetryAfter(&a)
	return a
}

// oauthError returns the token fault's answer, which is a transient one unless the fault says
// otherwise.
func (f Fault) oauthError() *oauthError {
	e := &oauthError{f.Status, f.Code, 90033, "A transient error has occurred. Please try again."}
	message := f.Message
	if digits, ok := strings.CutPrefix(message, "AADSTS"); ok {
		digits, message, _ = strings.Cut(digits, ":")
		if number, err := strconv.Atoi(strings.TrimSpace(digits)); err == nil {
			e.number = number
		}
	}
	if message = strings.TrimSpace(message); message != "" {
		e.text = message
	}
	return e
}

// setRetryAfter adds the fault's Retry-After to an answer.
func (f Fault) setRetryAfter(a *response) {
	if f.RetryAfter == "" {
		return
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set("Retry-After", f.RetryAfter)
}
