package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
)

// laneView is a lane as --json shows it.
type laneView struct {
	Lane        queue.Lane            `json:"lane"`
	Messages    map[queue.State]int64 `json:"messages"`
	Oldest      *time.Time            `json:"oldest,omitempty"`
	PausedUntil *time.Time            `json:"paused_until,omitempty"`
	PausedFor   string                `json:"paused_for,omitempty"`
}

func (d desk) lanes() int {
	list, err := d.store.Lanes(context.Background())
	if err != nil {
		return fault(d.e, exitFault, err)
	}
	if d.json {
		enc := d.encoder()
		for _, l := range list {
			v := laneView{Lane: l.Lane, Messages: l.Messages, PausedFor: l.PausedFor}
			if !l.Oldest.IsZero() {
				v.Oldest = &l.Oldest
			}
			if !l.PausedUntil.IsZero() {
				v.PausedUntil = &l.PausedUntil
			}
			if err := enc.Encode(v); err != nil {
				return fault(d.e, exitFault, err)
			}
		}
		return exitOK
	}
	w := tabwriter.NewWriter(d.e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LANE\tQUEUED\tDELIVERING\tDEFERRED\tHELD\tOLDEST\tPAUSED")
	for _, l := range list {
		oldest := ""
		if !l.Oldest.IsZero() {
			oldest = l.Oldest.Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", text.Printable(laneName(l.Lane)), l.Messages[queue.Queued], l.Messages[queue.Delivering],
			l.Messages[queue.Deferred], l.Messages[queue.Held], oldest, text.Printable(paused(l)))
	}
	if err := w.Flush(); err != nil {
		return fault(d.e, exitFault, err)
	}
	return exitOK
}

func paused(l queue.LaneStatus) string {
	switch {
	case l.PausedUntil.IsZero():
		return ""
	case l.PausedUntil.Before(queue.Forever):
		return "until " + l.PausedUntil.Format(time.DateTime) + ", " + l.PausedFor
	}
	return "until resume, " + l.PausedFor
}

// laneName and parseLane write a lane as connection/mailbox, or as the connection
// alone for all of its lanes.
func laneName(l queue.Lane) string { return strings.TrimSuffix(l.String(), "/") }

// parseLane takes a lane that queue list or queue lanes shows, or a connection of the
// configuration: one that is misspelt would pause nothing.
func (d desk) parseLane(name string) (queue.Lane, error) {
	connection, mailbox, _ := strings.Cut(name, "/")
	if l := (queue.Lane{Connection: connection}); !slices.Contains(d.connections, l.ConnectionName()) {
		return queue.Lane{}, fmt.Errorf("the configuration has no connection %s; write connection/mailbox, or a connection for all of its lanes", text.Printable(connection))
	}
	return queue.Lane{Connection: connection, Mailbox: strings.ToLower(mailbox)}, nil
}

func (d desk) pause(name string, length time.Duration) error {
	l, err := d.parseLane(name)
	if err != nil {
		return err
	}
	if length < 0 {
		return errors.New("the time to pause is negative")
	}
	until := queue.Forever
	if length > 0 {
		until = time.Now().Add(length)
	}
	if err := d.store.Pause(context.Background(), l, until, queue.PausedByHand); err != nil {
		return err
	}
	return d.done("pause", "lane", name)
}

func (d desk) resume(name string) error {
	l, err := d.parseLane(name)
	if err != nil {
		return err
	}
	err = d.store.Resume(context.Background(), l)
	if errors.Is(err, queue.ErrNotFound) {
		return errors.New("it is not paused; queue lanes shows what is")
	}
	if err != nil {
		return err
	}
	return d.done("resume", "lane", name)
}
