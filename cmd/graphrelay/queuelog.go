package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"graphrelay/relay/queue"
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
			list, err := q.store.Audits(context.Background(), *limit)
			if err != nil {
				return err
			}
			return q.print.Audits(list)
		})
	}
	return c
}

// audited records who does an action on what, then does it, and records how many messages or
// lanes were changed.
func (q queueTool) audited(action, on string, do func() (changed int64, err error)) error {
	now := time.Now()
	a := queue.Audit{ID: queue.NewID(now), At: now, By: operator(), Action: action, On: on}
	if err := q.store.SetAudit(context.Background(), a); err != nil {
		return err
	}
	var err error
	a.Changed, err = do()
	if noted := q.store.SetAudit(context.Background(), a); err == nil {
		err = noted
	}
	return err
}

// maxNamed bounds how many names an audit has.
const maxNamed = 20

func named(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], " "), more)
	}
	return strings.Join(names, " ")
}

// selected returns the flags by which messages were selected, as they were given.
func selected(fs *pflag.FlagSet) string {
	var words []string
	fs.Visit(func(f *pflag.Flag) {
		switch {
		case f.Name == "all":
			words = append(words, "--all")
		case f.Name != "config" && f.Name != "json":
			words = append(words, "--"+f.Name, f.Value.String())
		}
	})
	return strings.Join(words, " ")
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
