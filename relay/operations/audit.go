package operations

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
)

// audited records who does an action on what, then does it, and records how many messages or
// lanes were changed, also where ctx has ended meanwhile.
func (o Local) audited(ctx context.Context, by, action, on string, do func() (changed int64, err error)) error {
	now := time.Now()
	a := queue.Audit{ID: queue.NewID(now), At: now, By: by, Action: action, On: on}
	if err := o.Store.SetAudit(ctx, a); err != nil {
		return err
	}
	var err error
	a.Changed, err = do()
	if noted := o.Store.SetAudit(context.WithoutCancel(ctx), a); err == nil {
		err = noted
	}
	return err
}

// auditedOne is audited for what changes the one thing that is named, or nothing.
func (o Local) auditedOne(ctx context.Context, by, action, name string, do func() error) error {
	return o.audited(ctx, by, action, named([]string{name}), func() (int64, error) {
		if err := do(); err != nil {
			return 0, err
		}
		return 1, nil
	})
}

// maxNamed and maxName bound how many names an audit has, and the bytes of each.
const (
	maxNamed = 20
	maxName  = 400
)

func named(names []string) string {
	more := len(names) - maxNamed
	short := make([]string, 0, maxNamed)
	for _, name := range names[:min(len(names), maxNamed)] {
		short = append(short, text.Shorten(name, maxName))
	}
	if more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(short, " "), more)
	}
	return strings.Join(short, " ")
}

// Selection returns the flags of queue list that select what f does, by name, or --all.
func Selection(f queue.Filter) string {
	var words []string
	add := func(flag, value string) {
		if value != "" {
			words = append(words, "--"+flag, text.Shorten(value, maxName))
		}
	}
	add("client", f.Client)
	add("from", f.From)
	add("id", f.ID)
	add("lane", f.Lane)
	if f.Limit > 0 {
		add("limit", strconv.Itoa(f.Limit))
	}
	add("message-id", f.MessageID)
	add("older", moment(f.Before))
	add("reason", joined(f.Reasons))
	add("since", moment(f.Since))
	add("state", states(f.States))
	add("subject", f.Subject)
	add("text", f.Text)
	add("to", f.To)
	add("user", f.User)
	if len(words) == 0 {
		return "--all"
	}
	return strings.Join(words, " ")
}

// Waiting returns the states that are listed where none is asked for: all but those of messages
// that were sent or deleted, which are no longer queued.
func Waiting() []queue.State {
	return slices.DeleteFunc(queue.States(), func(s queue.State) bool { return s == queue.Sent || s == queue.Deleted })
}

// states returns the value of --state, which is empty for what it is by default.
func states(list []queue.State) string {
	if slices.Equal(list, Waiting()) {
		return ""
	}
	if len(list) == 0 || slices.Equal(list, queue.States()) {
		return "all"
	}
	return joined(list)
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = string(x)
	}
	return strings.Join(words, ",")
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
