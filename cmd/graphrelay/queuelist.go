package main

import (
	"flag"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// listFlags select what queue list shows.
type listFlags struct {
	states, from, to, lane, reason string
	older                          time.Duration
	limit                          int
}

func (l *listFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&l.states, "state", "", "list only messages in these `states`, separated by commas, or all (default: all but sent)")
	fs.StringVar(&l.from, "from", "", "list only messages whose envelope sender contains this `text`")
	fs.StringVar(&l.to, "to", "", "list only messages with a recipient that contains this `text`")
	fs.StringVar(&l.lane, "lane", "", "list only messages of this `lane`, written as connection/mailbox, or of a whole connection")
	fs.StringVar(&l.reason, "reason", "", "list only messages that wait or failed for this `reason`")
	fs.DurationVar(&l.older, "older", 0, "list only messages that were received longer ago than this")
	fs.IntVar(&l.limit, "limit", 1000, "list at most this many messages, the oldest first")
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
