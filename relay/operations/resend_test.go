package operations_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
)

func TestResend(t *testing.T) {
	o, ids := open(t, "one")
	if _, err := o.Resend(t.Context(), "anna", ids[0], []string{"a@x.test"}); !errors.Is(err, queue.ErrState) || !strings.Contains(err.Error(), "hold it first") {
		t.Errorf("a message that may still go out: %v", err)
	}
	if _, err := o.Act(t.Context(), "anna", queue.Hold, ids, false); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 501)
	for i := range many {
		many[i] = fmt.Sprintf("a%d@x.test", i)
	}
	for why, to := range map[string][]string{
		"at least one": {" ", ""}, `"nobody"`: {"nobody"}, `"@x.test"`: {"@x.test"}, `"a@"`: {"a@"}, `"a@b@c d"`: {"a@b@c d"}, `"x@y.test\nRCPT"`: {"x@y.test\nRCPT"},
		`"a <b@x.test"`: {"a <b@x.test"}, "501 recipients are too many": many,
	} {
		if _, err := o.Resend(t.Context(), "anna", ids[0], to); !errors.Is(err, operations.ErrRecipients) || !strings.Contains(err.Error(), why) {
			t.Errorf("%.3q: %v, want %s", to, err, why)
		}
	}
	again, err := o.Resend(t.Context(), "anna", ids[0], []string{" a@x.test", "A@X.test", `"john doe"@y.test`, "ü@z.test"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := o.Message(t.Context(), again)
	if err != nil || !slices.Equal(m.To, []string{"a@x.test", `"john doe"@y.test`, "ü@z.test"}) || m.State != queue.Queued || m.Subject != "one" {
		t.Errorf("it is %+v, %v", m, err)
	}
	if got := audits(t, o); !slices.Contains(got, "anna: resend "+ids[0]+` a@x.test "john doe"@y.test ü@z.test: 1`) {
		t.Errorf("on record are %q", got)
	}
}
