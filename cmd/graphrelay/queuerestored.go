package main

import (
	"context"

	"github.com/spf13/cobra"
)

func queueRestoredCommand(o *queueOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "restored",
		Short: "look for what was sent, after the queue was restored from a backup",
		Long: `Says that the queue was restored from a backup. Run it after the restoration and before you start
the relay, or any node. Messages that wait in the backup may have been sent since it was made. Each
is looked for in its mailbox before it is sent, and is not sent again if it is found there.`,
		Example: "  graphrelay queue restored",
		Args:    noOperands,
		RunE: func(*cobra.Command, []string) error {
			return o.open(func(q queueTool) error {
				return q.audited("restored", "all messages that wait", func() (int64, error) {
					n, err := q.store.Restored(context.Background(), operator())
					if err != nil {
						return int64(n), err
					}
					return int64(n), q.print.DoneAll("restored", int64(n), false)
				})
			})
		},
	}
}
