package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

func consoleCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "console",
		Short: "print a link that opens the console in a browser",
		Long: `Prints a link that signs a browser in to the console of the running relay, as administrator. The
link works once, within ten minutes, and asks for no password: only the user of the relay, and root,
can have one made. Run it as one of them, with the configuration of the relay.`,
		Example: `  graphrelay console
  graphrelay console --config relay.yaml`,
		Args: noOperands,
	}
	file := configFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		client, err := runningRelay(e, *file)
		if err != nil {
			return err
		}
		defer client.Close()
		link, err := client.ConsoleLink(context.Background(), operator())
		if err != nil {
			return refused(e, err)
		}
		fmt.Fprintln(e.stderr, "Open this in a browser on this machine within ten minutes; it works once:")
		fmt.Fprintln(e.stdout, link)
		if u, err := url.Parse(link); err == nil && u.Hostname() == "localhost" {
			fmt.Fprintf(e.stderr, "If your browser is on another machine, run there first: ssh -L %[1]s:localhost:%[1]s THIS-MACHINE\n", u.Port())
		}
		return nil
	}
	return c
}
