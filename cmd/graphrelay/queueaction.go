package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

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
			return o.open(func(q queueTool) error { return q.act(a, ids, *dry) })
		}
		f, err := filters.filter()
		if err != nil {
			return usageError{err}
		}
		return o.open(func(q queueTool) error { return q.actAll(a, f, *dry) })
	}
	return c
}

// act carries out an action on messages, or tries whether it would be possible.
func (q queueTool) act(a queue.Action, ids []string, dry bool) error {
	results, err := q.ops.Act(context.Background(), actor(), a, ids, dry)
	for _, r := range results {
		switch {
		case r.Err != nil:
			err = cmp.Or(err, q.fail(r.ID, r.Err))
		case dry:
			err = cmp.Or(err, q.print.WouldDo(string(a), r.ID))
		default:
			err = cmp.Or(err, q.print.Done(string(a), "id", r.ID))
		}
	}
	return err
}

var errNoneSelected = errors.New("no message is selected; graphrelay queue list with the same filters shows which are")

// actAll carries out an action on what is in the queue now, or counts on what it would. An
// interrupt ends it between two steps.
func (q queueTool) actAll(a queue.Action, f queue.Filter, dry bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	n, err := q.ops.ActAll(ctx, actor(), a, f, dry)
	switch {
	case errors.Is(err, queue.ErrState):
		return fmt.Errorf("no message is selected: %w", err)
	case errors.Is(err, context.Canceled) && n < 0:
		return errors.New("interrupted; graphrelay queue log says how many messages were changed before")
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; %s changed before", queueview.Messages(n))
	case err != nil && dry:
		return err
	case err != nil:
		return fmt.Errorf("%w; %s changed before", err, queueview.Messages(n))
	case n == 0:
		return errNoneSelected
	}
	return q.print.DoneAll(string(a), n, dry)
}
