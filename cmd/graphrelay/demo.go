package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"graphrelay/relay/demo"
)

func demoCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "show the relay at work with a built-in Graph simulator; needs no set-up",
		Long: `Starts the relay and the Graph simulator on this machine, sends sample messages through SMTP,
and shows the Graph calls that they became and what the mailbox then holds. Both stay up for
your own client and browser until you press Ctrl-C: the ports are 2525 for mail, 9025 for the
console and 8100 for the mailboxes, or free ones where these are in use.`,
		Example: `  graphrelay demo
  graphrelay demo --once`,
		Args: noOperands,
	}
	once := c.Flags().Bool("once", false, "exit after the sample messages")
	c.RunE = func(*cobra.Command, []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return demo.Run(ctx, demo.Options{Program: os.Args[0], Once: *once, Out: e.stdout, Log: e.stderr})
	}
	return c
}
