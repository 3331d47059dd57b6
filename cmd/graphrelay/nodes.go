package main

import (
	"context"

	"github.com/spf13/cobra"
)

func nodesCommand(e env) *cobra.Command {
	o := &queueOptions{env: e}
	c := &cobra.Command{
		Use:   "nodes",
		Short: "list the relays that work on the queue",
		Long: `Lists the relays that work on the queue, with the version of each, when it was last seen,
how many lanes are its own and how many messages it is delivering. A relay is live, is draining,
or is gone: then the others have taken over its lanes.

Several relays work on one queue where that is in PostgreSQL (queue.url).`,
		Example: `  graphrelay nodes
  graphrelay nodes drain relay2`,
		Args: noOperands,
		RunE: func(*cobra.Command, []string) error { return o.open(queueTool.nodes) },
	}
	c.AddCommand(
		drainCommand(o, "drain", true, "have a relay take no more work",
			`Has relays take no more lanes, and give back each of theirs when its messages in delivery
have come to an end. They still accept mail, which the others deliver: take one out of the load
balancer as well before you stop it. A relay that is restarted takes part again.`),
		drainCommand(o, "undrain", false, "have a relay take work again", "Has relays that drain take lanes again."),
	)
	o.addFlags(c)
	return c
}

func drainCommand(o *queueOptions, name string, drain bool, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:     name + " NODE...",
		Short:   short,
		Long:    long,
		Example: "  graphrelay nodes " + name + " relay2",
		Args: func(_ *cobra.Command, names []string) error {
			if len(names) == 0 {
				return usagef("name a relay, which graphrelay nodes shows")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, names []string) error {
			return o.each(names, func(q queueTool, node string) error { return q.drain(name, node, drain) })
		},
	}
}

func (q queueTool) nodes() error {
	list, err := q.ops.Nodes(context.Background())
	if err != nil {
		return err
	}
	return q.print.Nodes(list)
}

func (q queueTool) drain(action, node string, drain bool) error {
	if err := q.ops.Drain(context.Background(), actor(), node, drain); err != nil {
		return err
	}
	return q.print.Done(action, "node", node)
}
