package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/text"
)

// Verdict is what a step has shown.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"      // as the relay expects
	Differs Verdict = "differs" // otherwise, and the advice says what follows
	Fault   Verdict = "fault"   // mail cannot be sent in this way
	Skipped Verdict = "skipped" // the step was not made
)

// Result is what a step has shown. Its texts are clean and on one line.
type Result struct {
	Step      int
	What      string
	Expected  string
	Seen      string
	Status    int    // of the answer that decided; 0: none came
	Code      string // Graph's code in it
	RequestID string
	Took      time.Duration
	Verdict   Verdict
	Why       string   // why it was skipped
	Advice    []string // what to set or to do
}

// maxSeen bounds Result.Seen, in bytes.
const maxSeen = 1500

// saw adds to what was seen.
func (r *Result) saw(format string, args ...any) {
	part := text.OneLine(fmt.Sprintf(format, args...))
	if r.Seen != "" {
		part = "; " + part
	}
	r.Seen = text.Shorten(r.Seen+part, maxSeen)
}

// by records the answer that decided the verdict.
func (r *Result) by(a answer) {
	r.Status, r.Code, r.RequestID, r.Took = a.Status, a.code(), a.RequestID, a.Took
}

// differs makes the verdict Differs, unless it is worse.
func (r *Result) differs(advice ...string) {
	if r.Verdict != Fault {
		r.Verdict = Differs
	}
	r.advise(advice...)
}

// fault makes the verdict Fault.
func (r *Result) fault(advice ...string) {
	r.Verdict = Fault
	r.advise(advice...)
}

func (r *Result) skip(why string) { r.Verdict, r.Why = Skipped, why }

func (r *Result) advise(advice ...string) {
	for _, a := range advice {
		if a = text.OneLine(a); a != "" && !slices.Contains(r.Advice, a) {
			r.Advice = append(r.Advice, a)
		}
	}
}

// Line returns the result on one line.
func (r Result) Line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%2d %-7s %s: ", r.Step, r.Verdict, r.What)
	if r.Verdict == Skipped {
		fmt.Fprintf(&b, "%s", r.Why)
		return text.Printable(b.String())
	}
	fmt.Fprintf(&b, "expected %s; seen %s", r.Expected, r.Seen)
	if r.Status != 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(slices.DeleteFunc([]string{fmt.Sprint(r.Status), r.Code, r.RequestID, fmt.Sprintf("%d ms", r.Took.Milliseconds())},
			func(s string) bool { return s == "" }), ", "))
	}
	if len(r.Advice) > 0 {
		fmt.Fprintf(&b, " -> %s", strings.Join(r.Advice, " | "))
	}
	return text.Printable(b.String())
}

// The exit statuses of the command.
const (
	ExitOK      = 0 // every step that was made is ok
	ExitFault   = 2 // a step is a fault, or the probe was interrupted
	ExitDiffers = 3 // a step differs, or something could not be removed
)

// Exit returns the exit status for a report.
func (r Report) Exit() int {
	status := ExitOK
	if len(r.Left) > 0 {
		status = ExitDiffers
	}
	for _, result := range r.Results {
		switch result.Verdict {
		case Fault:
			return ExitFault
		case Differs:
			status = ExitDiffers
		}
	}
	if r.Interrupted {
		return ExitFault
	}
	return status
}
