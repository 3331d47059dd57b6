package verdict

import (
	"context"
	"errors"
	"testing"

	"graphrelay/relay/queue"
)

// answers is a queue.Verdicts that gives the answers in their order, the last one again and
// again.
type answers struct {
	verdicts []error // nil: there is a refusal
	refusal  string
	told     []error
	asked    int // for a verdict
	tried    int // to accept it
}

func (a *answers) Verdict(context.Context, string) (string, bool, error) {
	err := a.verdicts[min(a.asked, len(a.verdicts)-1)]
	a.asked++
	switch {
	case errors.Is(err, errUndecided):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return a.refusal, true, nil
}

func (a *answers) Told(context.Context, string) error {
	err := a.told[min(a.tried, len(a.told)-1)]
	a.tried++
	return err
}

var errUndecided = errors.New("not decided yet")

func TestShared(t *testing.T) {
	refused := Verdict{Refused: true, Enhanced: [3]int{5, 1, 3}, Text: "no"}
	for name, c := range map[string]struct {
		answers answers
		want    Verdict
		tried   int
	}{
		"not refused":               {answers{verdicts: []error{errUndecided, nil}}, Verdict{}, 0},
		"refused":                   {answers{verdicts: []error{errUndecided, nil}, refusal: refused.String(), told: []error{nil}}, refused, 1},
		"the queue was away":        {answers{verdicts: []error{queue.ErrAway, nil}, refusal: refused.String(), told: []error{queue.ErrAway, nil}}, refused, 2},
		"too late":                  {answers{verdicts: []error{nil}, refusal: refused.String(), told: []error{queue.ErrFenced}}, Verdict{}, 1},
		"the answer was lost":       {answers{verdicts: []error{nil}, refusal: refused.String(), told: []error{queue.ErrUnknown, nil}}, refused, 2},
		"of another version":        {answers{verdicts: []error{nil}, refusal: "x", told: []error{nil}}, Verdict{}, 0},
		"lost, and then it is late": {answers{verdicts: []error{nil}, refusal: refused.String(), told: []error{queue.ErrUnknown, queue.ErrFenced}}, Verdict{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (Shared{&c.answers}).Expect("a").Await(t.Context()); got != c.want || c.answers.tried != c.tried {
				t.Errorf("got %+v, accepted %d times; want %+v and %d", got, c.answers.tried, c.want, c.tried)
			}
		})
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	a := &answers{verdicts: []error{errUndecided}}
	if got := (Shared{a}).Expect("a").Await(over); got != (Verdict{}) {
		t.Errorf("after giving up got %+v", got)
	}
}

// A refusal of which it stays unknown whether the sender is notified is not taken for success.
func TestSharedUnknown(t *testing.T) {
	t.Parallel()
	a := &answers{verdicts: []error{nil}, refusal: Verdict{Refused: true}.String(), told: []error{queue.ErrUnknown}}
	if got := (Shared{a}).Expect("a").Await(t.Context()); got != (Verdict{Unknown: true}) {
		t.Errorf("got %+v", got)
	}
}
