package main

import (
	"context"
	"os"
	"os/user"

	"github.com/spf13/cobra"
)

func queueLogCommand(o *queueOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "list what operators did",
		Long: `Lists the commands that changed messages or lanes, the oldest first: when, by which user of
the operating system, on what, and how many messages or lanes were changed. 0 means that
nothing was, or that the command was killed. The last 10,000 commands are kept.`,
		Example: `  graphrelay queue log
  graphrelay queue log --limit 10 --json`,
		Args: noOperands,
	}
	limit := c.Flags().Int("limit", 100, "at most this `number` of commands, the newest ones")
	c.RunE = func(*cobra.Command, []string) error {
		if *limit < 1 {
			return usagef("--limit is less than 1")
		}
		return o.open(func(q queueTool) error {
			list, err := q.ops.Audits(context.Background(), *limit)
			if err != nil {
				return err
			}
			return q.print.Audits(list)
		})
	}
	return c
}

// operator returns the name of the user that runs the command, and of the one who used sudo
// to become that user.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if u, err := user.Lookup(os.Getenv("SUDO_USER")); err == nil && u.Username != name {
		name += " (sudo by " + u.Username + ")"
	}
	return name
}
