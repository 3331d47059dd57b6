package simulator

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Call is an entry of the journal, which has one for each request.
type Call struct {
	Time            time.Time     `json:"time"` // of arrival
	Operation       Operation     `json:"operation"`
	Method          string        `json:"method"`
	Path            string        `json:"path"` // without its query, which may hold a secret
	Mailbox         string        `json:"mailbox,omitempty"`
	MessageID       string        `json:"messageId,omitempty"` // immutable id, if known
	Status          int           `json:"status"`              // of the answer, even if it was lost
	Code            string        `json:"code,omitempty"`
	Lost            bool          `json:"lost,omitempty"`  // the client did not get the answer
	Fault           int           `json:"fault,omitempty"` // id of the fault that acted
	Bytes           int64         `json:"bytes"`           // read of the request body
	Duration        time.Duration `json:"durationNanos"`
	RequestID       string        `json:"requestId"`
	ClientRequestID string        `json:"clientRequestId,omitempty"`

	// The beginning of the bodies, which the pages show, of the last calls for mailboxes.
	Request string `json:"-"`
	Answer  string `json:"-"`
}

// What is kept of bodies: the first bytes of each, of so many calls.
const (
	bodyBytes = 2 << 10
	bodyCalls = 1000
)

// journal is a ring of the last calls. The simulator's mutex guards it.
type journal struct {
	limit int
	calls []Call
	next  int
}

func (j *journal) add(entry Call) {
	at := len(j.calls)
	if at < j.limit {
		j.calls = append(j.calls, entry)
	} else {
		at = j.next
		j.calls[at] = entry
		j.next = (j.next + 1) % j.limit
	}
	if n := len(j.calls); n > bodyCalls {
		old := &j.calls[(at-bodyCalls+n)%n]
		old.Request, old.Answer = "", ""
	}
}

// last returns the last calls that are wanted, newest first, at most limit.
func (j *journal) last(limit int, wanted func(*Call) bool) (found []Call) {
	for n := len(j.calls) - 1; n >= 0 && len(found) < limit; n-- {
		if c := &j.calls[(j.next+n)%len(j.calls)]; wanted(c) {
			found = append(found, *c)
		}
	}
	return found
}

func (j *journal) list() []Call {
	return slices.Concat(j.calls[j.next:], j.calls[:j.next])
}

// Journal returns the last calls in the order of their answers, up to JournalSize.
func (s *Simulator) Journal() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.list()
}

// record adds a call to the journal, the stats and the log.
func (s *Simulator) record(c *call, result outcome) {
	entry := Call{
		Time: c.started, Operation: c.op, Method: c.r.Method, Path: c.r.URL.Path, Mailbox: c.mailbox, MessageID: c.itemID,
		Status: result.response.status, Code: result.response.code, Lost: result.lost, Fault: result.fault,
		Bytes: c.counted.bytes, Duration: time.Since(c.started), RequestID: c.requestID, ClientRequestID: c.clientRequestID,
	}
	if c.showsBodies() {
		entry.Request, entry.Answer = c.counted.shown(), shownBody(result.response.body)
	}
	s.mu.Lock()
	s.journal.add(entry)
	s.stats.count(entry)
	s.mu.Unlock()
	s.options.Logger.Info("graph call", slog.String("operation", string(entry.Operation)), slog.Int("status", entry.Status),
		slog.String("code", entry.Code), slog.String("mailbox", entry.Mailbox), slog.Int64("bytes", entry.Bytes),
		slog.Duration("duration", entry.Duration), slog.Bool("lost", entry.Lost), slog.String("request_id", entry.RequestID))
}

// Stats has counts since the start or the last Reset.
type Stats struct {
	Calls          map[Operation]int `json:"calls"`
	Statuses       map[int]int       `json:"statuses"`
	Lost           int               `json:"lost"` // answers that clients did not get
	Faults         int               `json:"faults"`
	Bytes          int64             `json:"bytes"`
	Throttled      map[string]int    `json:"throttled"`      // 429s for its limits, without faults, by mailbox
	MaxConcurrency map[string]int    `json:"maxConcurrency"` // of one app, by mailbox, refused requests included
	Items          int               `json:"items"`
	Folders        map[string]int    `json:"folders"` // items in all mailboxes, by folder: RecoverableItems and others
	Sent           int               `json:"sent"`    // accepted sends
	ContentBytes   int64             `json:"contentBytes"`
	ForeignTokens  int               `json:"foreignTokens"` // calls for a mailbox with the token of another one's owner
	OpenSessions   int               `json:"openSessions"`
}

func newStats() Stats {
	return Stats{Calls: map[Operation]int{}, Statuses: map[int]int{}, Throttled: map[string]int{}, MaxConcurrency: map[string]int{}}
}

func (st *Stats) arrived(mailbox string, running int) {
	st.MaxConcurrency[mailbox] = max(st.MaxConcurrency[mailbox], running)
}

func (st *Stats) count(entry Call) {
	st.Calls[entry.Operation]++
	st.Statuses[entry.Status]++
	st.Bytes += entry.Bytes
	if entry.Lost {
		st.Lost++
	}
	if entry.Fault != 0 {
		st.Faults++
	}
}

// Stats returns a copy of the counts.
func (s *Simulator) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Calls, st.Statuses = maps.Clone(st.Calls), maps.Clone(st.Statuses)
	st.Throttled, st.MaxConcurrency = maps.Clone(st.Throttled), maps.Clone(st.MaxConcurrency)
	st.Items, st.Sent = s.items, s.ledger.total
	st.Folders = maps.Clone(s.folders)
	st.ContentBytes, st.OpenSessions = s.content.used, len(s.sessions)
	return st
}

// Violation is a request that did not follow graphrelay's own rules for requests.
type Violation struct {
	Time      time.Time `json:"time"`
	Operation Operation `json:"operation"`
	Path      string    `json:"path"`
	Text      string    `json:"text"`
}

const maxViolations = 1000

// Violations returns the first 1,000 violations, if RequireContract is set.
func (s *Simulator) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

func (c *call) recordViolation(text string) {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.violations) < maxViolations {
		s.violations = append(s.violations, Violation{Time: c.started, Operation: c.op, Path: c.r.URL.Path, Text: text})
	}
}

// checkContract records a violation if the request lacks a header that each of graphrelay's
// requests has to have.
func (s *Simulator) checkContract(c *call) {
	if !s.options.RequireContract {
		return
	}
	if !isGUID(c.clientRequestID) {
		c.recordViolation("client-request-id is missing or not a GUID")
	}
	if !strings.Contains(c.r.UserAgent(), "graphrelay/") {
		c.recordViolation("User-Agent does not name graphrelay and its version")
	}
	if !c.immutable() {
		c.recordViolation(`Prefer: IdType="ImmutableId" is missing`)
	}
}

// checkQueueProperty records a violation if a JSON draft is to be created without its queue
// id, although no create of the application has been refused as wrong.
func (c *call) checkQueueProperty(given []Property) {
	s, wanted := c.sim, c.sim.options.QueueProperty
	if !s.options.RequireContract || c.op != OpCreate {
		return
	}
	s.mu.Lock()
	refused := s.refusedCreate[c.app]
	s.mu.Unlock()
	has := slices.ContainsFunc(given, func(p Property) bool {
		id, err := normalizeProperty(p.ID)
		return err == nil && id == wanted && p.Value != ""
	})
	if !has && !refused {
		c.recordViolation("the draft does not have the extended property " + wanted)
	}
}

// rememberRefusal remembers a create that was refused as wrong.
func (c *call) rememberRefusal(status int) {
	if c.op == OpCreate && status/100 == 4 {
		c.sim.mu.Lock()
		defer c.sim.mu.Unlock()
		c.sim.refusedCreate[c.app] = true
	}
}
