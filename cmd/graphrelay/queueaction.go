package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/queue"
	"graphrelay/relay/queueview"
)

// queueActionCommand returns the command that carries out an action on messages that are
// named or selected.
func queueActionCommand(o *queueOptions, a queue.Action, short, long string) *cobra.Command {
	c := &cobra.Command{
		Use:   string(a) + " {ID... | FILTERS | --all}",
		Short: short,
		Long: long + `

The filters are those of queue list, and select what it shows, as far as the action is
possible for it. The history of each message records who did it.`,
		Example: fmt.Sprintf(`  graphrelay queue %[1]s 06rq2p8k1v4t9x3m
  graphrelay queue %[1]s --lane contoso/crm@contoso.com --older 1d --dry-run
  graphrelay queue %[1]s --all`, a),
	}
	var filters filterFlags
	filters.add(c, 0)
	fs := c.Flags()
	all := fs.Bool("all", false, "all messages, or all that the filters select")
	dry := fs.Bool("dry-run", false, "change nothing, and say what would be changed")
	c.Args = func(_ *cobra.Command, ids []string) error {
		if name := filters.empty(fs); name != "" {
			return usagef("--%s is empty, which would select all messages; give it a value, or leave it out", name)
		}
		switch selected := *all || filters.given(fs); {
		case len(ids) > 0 && (selected || fs.Changed("limit")):
			return usagef("give queue IDs or filters, not both")
		case len(ids) == 0 && !selected:
			return usagef("name a queue ID, which queue list shows; or select messages with filters such as --state and --lane, or with --all")
		}
		return nil
	}
	c.RunE = func(_ *cobra.Command, ids []string) error {
		if len(ids) > 0 {
			if *dry {
				return o.each(ids, func(q queueTool, id string) error { return q.tryOut(id, a) })
			}
			return o.change(string(a), ids, func(q queueTool, id string) error { return q.apply(id, a) })
		}
		f, err := filters.filter()
		if err != nil {
			return usageError{err}
		}
		if f, err = a.Narrow(f); err != nil {
			return fmt.Errorf("no message is selected: %w", err)
		}
		return o.open(func(q queueTool) error {
			if *dry {
				return q.countAll(f, a)
			}
			return q.audited(string(a), selected(fs), func() (int64, error) { return q.applyAll(f, a) })
		})
	}
	return c
}

func (q queueTool) apply(id string, a queue.Action) error {
	if err := q.store.Apply(context.Background(), id, a, operator()); err != nil {
		return err
	}
	return q.print.Done(string(a), "id", id)
}

// tryOut prints that an action would be possible.
func (q queueTool) tryOut(id string, a queue.Action) error {
	r, _, err := q.store.Get(context.Background(), id)
	if err == nil {
		err = a.Check(r)
	}
	if err != nil {
		return err
	}
	return q.print.WouldDo(string(a), id)
}

var errNoneSelected = errors.New("no message is selected; graphrelay queue list with the same filters shows which are")

// applyAll carries out an action on what is in the queue now, and returns on how many
// messages. An interrupt ends it between two steps.
func (q queueTool) applyAll(f queue.Filter, a queue.Action) (changed int64, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.Before.IsZero() {
		f.Before = time.Now()
	}
	n, err := q.store.ApplyAll(ctx, f, a, operator())
	changed = int64(n)
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	switch {
	case err != nil:
		return changed, fmt.Errorf("%w; %s changed before", err, queueview.Messages(changed))
	case changed == 0:
		return 0, errNoneSelected
	}
	return changed, q.print.DoneAll(string(a), changed, false)
}

// countAll prints how many messages an action would change.
func (q queueTool) countAll(f queue.Filter, a queue.Action) error {
	n, err := q.store.Count(context.Background(), f)
	if err != nil {
		return err
	}
	if f.Limit > 0 {
		n = min(n, int64(f.Limit))
	}
	if n == 0 {
		return errNoneSelected
	}
	return q.print.DoneAll(string(a), n, true)
}
