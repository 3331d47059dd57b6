package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay/attention"
	"graphrelay/relay/operations"
)

func alertsCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "alerts",
		Short: "list what needs an operator",
		Long: `Lists the open incidents of the running relay: what is wrong, since when, why, and what to do
about it. Who is told of them is configured in alerts. Run it as the user of the relay, or as root.`,
		Example: `  graphrelay alerts
  graphrelay alerts --all --json`,
		Args: noOperands,
	}
	o := &alertsOptions{env: e}
	c.AddCommand(o.testCommand())
	o.file = configFlag(c)
	c.PersistentFlags().BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
	all := c.Flags().Bool("all", false, "also those of the last days that are over")
	c.RunE = func(*cobra.Command, []string) error {
		client, err := runningRelay(o.env, *o.file)
		if err != nil {
			return err
		}
		defer client.Close()
		list, err := client.Incidents(context.Background(), *all)
		if err != nil {
			return err
		}
		return o.print(list)
	}
	return c
}

// alertsOptions are the flags of alerts.
type alertsOptions struct {
	env
	file   *string
	asJSON bool
}

func (o *alertsOptions) print(list []operations.Incident) error {
	if o.asJSON {
		out := json.NewEncoder(text.JSONWriter(o.stdout))
		for _, i := range list {
			if err := out.Encode(i); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(o.stdout, "nothing needs you")
	}
	for _, i := range list {
		fmt.Fprint(o.stdout, incidentText(i, time.Now()))
	}
	return nil
}

func incidentText(i operations.Incident, now time.Time) string {
	var b strings.Builder
	title := i.Summary
	if i.Subject != "" {
		title += ": " + i.Subject
	}
	fmt.Fprintf(&b, "%s  %s  %s  %s\n", i.Reference, i.Severity, i.ID, text.Printable(title))
	since := "since " + i.Since.Local().Format("2006-01-02 15:04")
	if i.Closed == nil {
		fmt.Fprintf(&b, "    %s, for %s\n", since, attention.Span(i.Lasted(now)))
	} else {
		fmt.Fprintf(&b, "    %s; over, it lasted %s\n", since, attention.Span(i.Lasted(now)))
	}
	fmt.Fprintf(&b, "    %s\n", text.Printable(i.Cause))
	if i.Closed == nil {
		fmt.Fprintf(&b, "    What to do: %s\n", text.Printable(i.Remedy))
	}
	return b.String()
}

func (o *alertsOptions) testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [CHANNEL]",
		Short: "send a test message to the channels of alerts",
		Long: `Has the running relay send a test message to a channel, or to every channel, and prints what
became of each. Mail is queued like any other; queue show tells its way. Ends with status 1 if one
could not be sent.`,
		Example: `  graphrelay alerts test
  graphrelay alerts test operators`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("give one channel, or none for all")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			client, err := runningRelay(o.env, *o.file)
			if err != nil {
				return err
			}
			defer client.Close()
			tests, err := client.TestAlerts(context.Background(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			return o.printTests(tests)
		},
	}
}

func (o *alertsOptions) printTests(tests []operations.AlertTest) error {
	failed := false
	out := json.NewEncoder(text.JSONWriter(o.stdout))
	for _, t := range tests {
		failed = failed || t.Error != ""
		switch {
		case o.asJSON:
			if err := out.Encode(t); err != nil {
				return err
			}
		case t.Error != "":
			fmt.Fprintf(o.stderr, "%s: not sent: %s\n", t.Channel, text.Printable(t.Error))
		default:
			fmt.Fprintf(o.stdout, "%s: %s\n", t.Channel, text.Printable(t.Result))
		}
	}
	if failed {
		return exitError{status: exitFault}
	}
	return nil
}
