package main

import (
	"context"

	"github.com/spf13/cobra"

	"graphrelay/relay/operations"
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
			return o.openStore(func(local operations.Local) error {
				n, err := local.Restored(context.Background(), actor())
				if err != nil {
					return err
				}
				return o.printer().DoneAll("restored", n, false)
			})
		},
	}
}
