package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/probe"
)

func probeCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "probe --mailbox ADDRESS",
		Short: "try on your tenant what the relay takes for granted of Microsoft 365",
		Long: `Makes drafts in a mailbox, sends some mail to that mailbox, and reads what arrives, in 20 steps.
Each step prints a line: what was expected, what was seen, and what to set if that differs. Each
item that the probe makes has "graphrelay probe" and a random value in its subject, and is removed
at the end, also after Ctrl-C. The probe takes a few minutes, and more with --large.
docs/probe.md explains the steps.

The status is 0 if all steps are ok, 3 if some differ or something could not be removed, and 2 if
one is a fault, the probe was interrupted, or the command line or the configuration is wrong.`,
		Example: `  graphrelay probe --mailbox scanner@contoso.com
  graphrelay probe --mailbox scanner@contoso.com --alias copier@contoso.com --from info@contoso.com --large
  graphrelay probe --mailbox scanner@contoso.com --json > tenant.json`,
		Args: noOperands,
	}
	fs := c.Flags()
	file := configFlag(c)
	var o probe.Options
	connection := fs.String("connection", "", "`name` of the connection (default: the one of the mailbox's domain)")
	fs.StringVar(&o.Mailbox, "mailbox", "", "`address` of the mailbox in which drafts are made and to which mail is sent")
	fs.StringVar(&o.To, "to", "", "`address` to send to instead; what it gets is not read or removed")
	fs.StringVar(&o.From, "from", "", "another `address` that the mailbox is to send as")
	fs.StringVar(&o.Alias, "alias", "", "`address` that is an alias of the mailbox")
	fs.BoolVar(&o.Large, "large", false, "also try the limits on sizes, with some 110 MB of uploads")
	fs.BoolVar(&o.Keep, "keep", false, "remove nothing at the end")
	wait := 2 * time.Minute
	durationFlag(fs, &wait, "wait", "the most `time` for mail to reach Sent Items, then the Inbox, and to wait for non-delivery reports")
	asJSON := fs.Bool("json", false, "print facts for the project, without addresses, instead of the lines")
	_ = c.MarkFlagRequired("mailbox")
	c.RunE = func(*cobra.Command, []string) error {
		cfg, _, err := loadConfig(e, *file)
		if err != nil {
			return err
		}
		if wait <= 0 || wait > time.Hour {
			return usagef("--wait has to be more than 0 and at most 1h")
		}
		o.Waits = probe.Waits{Send: wait, Returns: wait, Poll: min(250*time.Millisecond, wait/40)}
		o.Config = cfg
		if o.Connection, err = probedConnection(cfg, *connection, o.Mailbox); err != nil {
			return usageError{err}
		}
		return runProbe(e, o, *asJSON)
	}
	return c
}

// probedConnection returns the connection with the name or, without one, the mailbox's.
func probedConnection(cfg *config.Config, name, mailbox string) (*config.Connection, error) {
	if c := cfg.ConnectionOf(mailbox, name); c != nil {
		return c, nil
	}
	if name != "" {
		return nil, fmt.Errorf("no connection is named %q", name)
	}
	return nil, fmt.Errorf("no connection has the domain of %s; name one with --connection", text.Printable(mailbox))
}

// runProbe probes, and prints the results as they come.
func runProbe(e env, o probe.Options, asJSON bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program
	if o.Connection.SignIn == config.SignInDelegated {
		checker, closeChecker := mailboxes.OpenChecker(ctx, o.Config)
		defer closeChecker()
		owners, err := checker.Owners(ctx, o.Connection.Name)
		if err != nil {
			return badConfiguration(fmt.Errorf("%w; check data_dir and mailboxes.token_key", err))
		}
		o.Tokens = owners.Tokens
	}
	if !asJSON {
		o.Done = func(r probe.Result) { fmt.Fprintln(e.stdout, r.Line()) }
	}
	p, err := probe.New(o)
	if err != nil {
		return usageError{err}
	}
	r := p.Run(ctx)
	if asJSON {
		_, _ = text.JSONWriter(e.stdout).Write(r.File().JSON())
	}
	for _, l := range r.Left {
		fmt.Fprintln(e.stderr, "graphrelay: "+l.String())
	}
	if o.Keep {
		fmt.Fprintf(e.stderr, "graphrelay: kept all that has %s in its subject\n", r.Marker)
	}
	if status := r.Exit(); status != probe.ExitOK {
		return exitError{status: status}
	}
	return nil
}
