package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/internal/mailaddr"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

func lanesCommand(o *queueOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "lanes",
		Short:   "list the lanes that have messages or a pause",
		Long:    "Lists the lanes, which are the mailboxes of each connection, that have messages or are paused.",
		Example: "  graphrelay queue lanes",
		Args:    noOperands,
		RunE:    func(*cobra.Command, []string) error { return o.open(queueTool.lanes) },
	}
}

func pauseCommand(o *queueOptions) *cobra.Command {
	var length time.Duration
	c := &cobra.Command{
		Use:   "pause LANE...",
		Short: "stop delivery from a lane or a whole connection",
		Long: `Stops delivery from lanes, written as connection/mailbox, or from all lanes of a
connection. Their mail is still accepted, and waits.`,
		Example: `  graphrelay queue pause contoso/crm@contoso.com --for 1h
  graphrelay queue pause contoso`,
		Args: someLanes,
		RunE: func(c *cobra.Command, lanes []string) error {
			if c.Flags().Changed("for") && length <= 0 {
				return errors.New("--for has to be more than 0; leave it out to pause until resume")
			}
			return o.change("pause", lanes, func(q queueTool, lane string) error { return q.pause(lane, length) })
		},
	}
	durationFlag(c.Flags(), &length, "for", "how long to pause (default: until resume)")
	return c
}

func resumeCommand(o *queueOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "resume LANE...",
		Short: "end a pause",
		Long: `Ends pauses, whoever made them, and tries the messages that wait because of them. The name of a
connection stands for its own pause and those of all of its lanes; how many there were is printed.`,
		Example: `  graphrelay queue resume contoso/crm@contoso.com
  graphrelay queue resume contoso`,
		Args: someLanes,
		RunE: func(_ *cobra.Command, lanes []string) error { return o.change("resume", lanes, queueTool.resume) },
	}
}

// someLanes is the Args of a command on lanes.
func someLanes(_ *cobra.Command, lanes []string) error {
	if len(lanes) == 0 {
		return usagef("name a lane, which queue lanes shows, or a connection for all of its lanes")
	}
	return nil
}

func (q queueTool) lanes() error {
	lanes, err := q.store.Lanes(context.Background())
	if err != nil {
		return err
	}
	return q.print.Lanes(lanes)
}

// parseLane reads a lane as queue list and queue lanes show it, or a connection, which
// stands for all of its lanes. The connection must be one of the configuration: a
// misspelt one would pause nothing.
func (q queueTool) parseLane(name string) (queue.Lane, error) {
	l := queue.ParseLane(name)
	if !slices.Contains(q.connections, l.Connection) {
		return queue.Lane{}, fmt.Errorf("the configuration has no connection %q; write connection/mailbox, or a connection for all of its lanes", l.Connection)
	}
	if l.Mailbox == "" && strings.Contains(name, "/") {
		return queue.Lane{}, errors.New("it has no mailbox; write connection/mailbox, or the connection alone for all of its lanes")
	}
	l.Mailbox = strings.ToLower(l.Mailbox)
	return l, nil
}

// pause pauses a lane, until resume if length is 0.
func (q queueTool) pause(name string, length time.Duration) error {
	l, err := q.parseLane(name)
	if err != nil {
		return err
	}
	if local, domain := mailaddr.Split(l.Mailbox); l.Mailbox != "" && (local == "" || domain == "") {
		return fmt.Errorf("%q is no address of a mailbox", l.Mailbox)
	}
	until := queue.Forever
	if length > 0 {
		until = q.store.Now().Add(length)
	}
	if err := q.store.Pause(context.Background(), l, until, reason.Operator); err != nil {
		return err
	}
	return q.print.Done("pause", "lane", name)
}

// resume ends the pause of a lane or, of a connection, that of the connection and of its lanes.
func (q queueTool) resume(name string) error {
	l, err := q.parseLane(name)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if l.Mailbox != "" {
		if err := q.store.Resume(ctx, l); err != nil {
			return q.notPaused(ctx, l, err)
		}
		return q.print.Done("resume", "lane", name)
	}
	lanes, err := q.store.Lanes(ctx)
	pauses := 0
	for _, of := range lanes {
		if of.PausedUntil.IsZero() || !l.Covers(of.Lane) {
			continue
		}
		switch e := q.store.Resume(ctx, of.Lane); {
		case e == nil:
			pauses++
		case !errors.Is(e, queue.ErrNotFound): // it ended meanwhile
			err = errors.Join(err, e)
		}
	}
	switch {
	case err != nil:
		return err
	case pauses == 0:
		return errNotPaused
	}
	return q.print.Resumed(name, pauses)
}

var errNotPaused = errors.New("it is not paused; graphrelay queue lanes shows which lanes are")

// notPaused returns what to say about a lane that could not be resumed.
func (q queueTool) notPaused(ctx context.Context, l queue.Lane, err error) error {
	if !errors.Is(err, queue.ErrNotFound) {
		return err
	}
	lanes, err := q.store.Lanes(ctx)
	for _, of := range lanes {
		if of.Mailbox == "" && !of.PausedUntil.IsZero() && of.Covers(l) {
			return fmt.Errorf("it is not paused itself, but %[1]s is as a whole; graphrelay queue resume %[1]s ends that", of.Lane)
		}
	}
	if err != nil {
		return err
	}
	return errNotPaused
}
