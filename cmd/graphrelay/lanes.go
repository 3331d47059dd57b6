package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/queue"
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
			return o.each(lanes, func(q queueTool, lane string) error { return q.pause(lane, length) })
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
		RunE: func(_ *cobra.Command, lanes []string) error { return o.each(lanes, queueTool.resume) },
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
	lanes, err := q.ops.Lanes(context.Background())
	if err != nil {
		return err
	}
	return q.print.Lanes(lanes)
}

// pause pauses a lane, until resume if length is 0.
func (q queueTool) pause(lane string, length time.Duration) error {
	if err := q.ops.Pause(context.Background(), actor(), lane, length); err != nil {
		return err
	}
	return q.print.Done("pause", "lane", lane)
}

func (q queueTool) resume(lane string) error {
	pauses, err := q.ops.Resume(context.Background(), actor(), lane)
	switch {
	case err != nil:
		return err
	case queue.ParseLane(lane).Mailbox == "":
		return q.print.Resumed(lane, pauses)
	}
	return q.print.Done("resume", "lane", lane)
}
