package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

func queueListCommand(o *queueOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "list messages, the oldest first",
		Long:  "Lists messages, the oldest first, all but the sent ones unless --state says otherwise.",
		Example: `  graphrelay queue list
  graphrelay queue list --state failed --older 1d
  graphrelay queue list --lane contoso/crm@contoso.com --json`,
		Args: noOperands,
	}
	var list listFlags
	list.add(c.Flags())
	c.RunE = func(*cobra.Command, []string) error {
		f, err := list.filter()
		if err != nil {
			return usageError{err}
		}
		return o.open(func(q queueTool) error { return q.list(f) })
	}
	return c
}

func (q queueTool) list(f queue.Filter) error {
	records, err := q.store.List(context.Background(), f)
	if err != nil {
		return err
	}
	return q.print.Messages(records)
}

// listFlags select what queue list shows.
type listFlags struct {
	states, from, to, lane, reason string
	older                          time.Duration
	limit                          int
}

func (l *listFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&l.states, "state", "", "only messages in these `states`, separated by commas, or all: "+stateNames())
	fs.StringVar(&l.from, "from", "", "only messages whose envelope sender contains this `text`")
	fs.StringVar(&l.to, "to", "", "only messages with a recipient that contains this `text`")
	fs.StringVar(&l.lane, "lane", "", "only messages of this `lane`, written as connection/mailbox, or of a whole connection")
	fs.StringVar(&l.reason, "reason", "", "only messages that wait or failed for this `reason`")
	durationFlag(fs, &l.older, "older", "only messages that were received longer ago than this")
	fs.IntVar(&l.limit, "limit", 1000, "at most this many messages, the oldest first")
}

func stateNames() string {
	var names []string
	for _, s := range queue.States() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// filter leaves out sent messages unless they are asked for: they are no longer queued.
func (l *listFlags) filter() (queue.Filter, error) {
	f := queue.Filter{From: l.from, To: l.to, Lane: l.lane, Reason: reason.Reason(l.reason), Limit: l.limit}
	if l.older > 0 {
		f.Before = time.Now().Add(-l.older)
	}
	var err error
	switch l.states {
	case "":
		for _, s := range queue.States() {
			if s != queue.Sent {
				f.States = append(f.States, s)
			}
		}
	case "all":
		f.States = queue.States()
	default:
		f.States, err = queue.ParseStates(l.states)
	}
	return f, err
}
