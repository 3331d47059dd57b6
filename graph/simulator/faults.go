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

// Fault makes calls go wrong. Which ones: those of Operation and Mailbox, from the Nth
// of them on, Count times, each with Probability. What happens: Latency first, then one
// of Status, Reset and Hang, in place of the effect or After it.
//
// With After, the effect takes place and the client does not learn of it: Reset loses the
// answer, Hang withholds it before it is lost, Status replaces it. After with RetryAfter
// alone sends the real answer with that header.
type Fault struct {
	ID          int           `json:"id"`          // set by AddFault
	Operation   Operation     `json:"operation"`   // "" is any
	Mailbox     string        `json:"mailbox"`     // "" is any
	Nth         int           `json:"nth"`         // first matching call that it may act on; 0 and 1 are the first
	Count       int           `json:"count"`       // how often it acts; 0 is once if Nth is set, else always
	Probability float64       `json:"probability"` // 0 and 1 are always
	After       bool          `json:"after"`
	Status      int           `json:"status"`
	Code        string        `json:"code"` // "" is UnknownError
	Message     string        `json:"message"`
	RetryAfter  string        `json:"retryAfter"` // as in the header
	Reset       bool          `json:"reset"`
	Hang        time.Duration `json:"hang"`
	Latency     time.Duration `json:"latency"`
	Seen        int           `json:"seen"`  // matching calls so far
	Acted       int           `json:"acted"` // times it acted so far
}

// faultList holds the faults in the order in which they are tried. The simulator's mutex
// guards it.
type faultList struct {
	faults []*Fault
	last   int
	random *rand.Rand
}

func (l *faultList) seed(seed uint64) { l.random = rand.New(rand.NewPCG(seed, seed)) }

func (l *faultList) clear() { l.faults = nil }

// AddFault arms a fault and returns its id. An unknown operation, a probability or a
// status out of range, or a fault without any effect is an error.
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

// Faults returns copies of the armed faults with their counts.
func (s *Simulator) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Fault{}
	for _, f := range s.faults.faults {
		list = append(list, *f)
	}
	return list
}

// ClearFaults disarms all faults.
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.clear()
}

// takeFault counts the call in every fault that it matches and returns the first that
// acts on it; the zero Fault if none does.
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

// due counts a matching call and says whether the fault is due on it.
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

// apply returns the outcome that the fault makes of result, whether result is that of the
// call or the empty one before it. done is false if the fault does not change the answer.
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

// hang waits until the client gives up, the time is over, or the simulator is closed.
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
		number, err := strconv.Atoi(strings.TrimPrefix(f.Message, "AADSTS"))
		if err != nil {
			number = 90033
		}
		a = (&oauthError{f.Status, f.Code, number, "A transient error has occurred. Please try again."}).response(c)
	default:
		a = (&apiError{status: f.Status, code: f.Code, text: f.Message}).response(c)
	}
	f.setRetryAfter(&a)
	return a
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
