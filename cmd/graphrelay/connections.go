package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
)

func connectionsCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "connections",
		Short: "list the connections of the running relay, with their state and expiry",
		Long: `Lists the connections of the relay that runs on this machine: whether each works or why it is
paused, when its credential expires, what it asked of Graph within 24 hours, and what Microsoft
said to the last sign-in if that failed. To try a connection, use graphrelay check --online.`,
		Example: "  graphrelay connections",
		Args:    noOperands,
	}
	file := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print one JSON object a line, for each connection")
	c.RunE = func(*cobra.Command, []string) error {
		client, err := runningRelay(e, *file)
		if err != nil {
			return err
		}
		defer client.Close()
		list, err := client.Connections(context.Background())
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		if !*asJSON {
			fmt.Fprintln(w, "CONNECTION\tSIGN-IN\tSTATE\tPAUSED FOR\tCREDENTIAL UNTIL\tREQUESTS\tTHROTTLED\tLAST ERROR")
		}
		for _, o := range list {
			if *asJSON {
				_ = json.NewEncoder(text.JSONWriter(e.stdout)).Encode(o)
				continue
			}
			expires, failed := "-", ""
			if o.Expires != nil {
				expires = fmt.Sprintf("%s (%d days)", o.Expires.Format(time.DateOnly), int(time.Until(*o.Expires).Hours()/24))
			}
			if o.SignInFailing {
				failed = o.LastError
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", o.Name, o.SignIn, o.State, cmp.Or(string(o.PausedFor), "-"), expires, o.Requests, o.Throttled, text.Printable(cmp.Or(failed, "-")))
		}
		return w.Flush()
	}
	return c
}
