package main

import (
	"context"

	"github.com/spf13/cobra"
)

func queueResendCommand(o *queueOptions) *cobra.Command {
	var to []string
	c := &cobra.Command{
		Use:   "resend ID --to ADDRESS",
		Short: "send the content of a message again, to some recipients",
		Long: `Sends the content of a message that is held, has failed, or was sent and is kept with its content
(queue.keep_sent_content), to the recipients that are named, and to no others. It is queued as
another message, whose queue ID is printed. The first message loses its content, so that only one
of the two can go out; if it was held, it ends as deleted. The histories of both name the other one.

It is not known of every message that is held whether it was sent before, above all of those with
the reason send_unknown. Who has such a message already gets it a second time: ask a recipient
first.`,
		Example: "  graphrelay queue resend 06rq2p8k1v4t9x3m --to anna@example.com --to bert@example.com",
		Args: func(_ *cobra.Command, ids []string) error {
			switch {
			case len(ids) != 1:
				return usagef("name the queue ID of one message, which queue list shows")
			case len(to) == 0:
				return usagef("name the recipients with --to")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, ids []string) error {
			return o.each(ids, func(q queueTool, id string) error {
				again, err := q.ops.Resend(context.Background(), actor(), id, to)
				if err != nil {
					return err
				}
				return q.print.Done("resend", "id", again)
			})
		},
	}
	c.Flags().StringArrayVar(&to, "to", nil, "send it to this `address`; may be given more than once")
	return c
}
