package main

import (
	"context"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"graphrelay/relay/api"
)

func queueLogCommand(o *queueOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "list what operators did",
		Long: `Lists what operators did, the oldest first: when, who and by which way, on what, and how many
messages or lanes were changed. 0 means that nothing was, or that the command was killed. Who has
read the content of a message is there too. By the command line it was a user of the operating
system. The last 10,000 records are kept.`,
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

// actor returns who runs the command, as records of actions name it.
func actor() string { return api.CommandLine(operator()).String() }

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
