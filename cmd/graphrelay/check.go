package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/mailboxes"
)

func checkCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "check a configuration, and with --online also its connections",
		Long: `Checks every key of the configuration, and the files, certificates and password hashes
that it refers to. Each fault is printed with its line, its key and what to do.

With --online it also gets a token for each connection, looks into each mailbox that the
configuration names, and tries, without effect, whether it may write and send there. It waits for
an answer for 10 seconds, and for all of a connection for a minute. The status is 2 if the file has
a fault or a connection fails.

With --relay it tries the listeners of the relay that runs on this machine as a stranger would:
without a password, as a foreign sender and as one of yours, and from an address outside of a
listener's networks, if this machine has one. No message is sent. The status is 2 if a stranger
is let in, or a listener cannot be reached.

With --diff it asks the relay that runs with the file's data_dir what a reload would change, and
prints each setting with its value in use and the new one. Secrets are not shown, only that they
change. The status is 2 if the reload would be refused.`,
		Example: `  graphrelay check
  graphrelay check --config relay.yaml --online --mailbox crm@contoso.com
  graphrelay check --relay`,
		Args: noOperands,
	}
	fs := c.Flags()
	file := configFlag(c)
	online := fs.Bool("online", false, "try each connection: get a token, and try its mailboxes")
	mailbox := fs.String("mailbox", "", "with --online, the `address` of the mailbox to try (default: those that the configuration names)")
	running := fs.Bool("relay", false, "try the listeners of the running relay as a stranger would")
	diff := fs.Bool("diff", false, "print what a reload of the running relay would change")
	asJSON := fs.Bool("json", false, "print one JSON object a line: with --online for each connection, with --relay for each listener, with --diff for each change, otherwise for the file")
	c.RunE = func(*cobra.Command, []string) error {
		if *mailbox != "" && !*online {
			return usagef("--mailbox is tried with --online alone; add it")
		}
		if *diff && (*online || *running) {
			return usagef("--diff stands alone; leave out --online and --relay")
		}
		if *diff {
			return printDiff(e, *file, *asJSON)
		}
		var faults error
		cfg, path, err := readConfig(e, *file, func(path string) (cfg *config.Config, err error) {
			cfg, faults = config.Load(path)
			return cfg, faults
		})
		alone := *asJSON && !*online && !*running
		if err != nil {
			if alone && faults != nil {
				printChecked(e, checked{Configuration: path, Faults: faultLines(path, faults)})
			}
			return err
		}
		warnings := cfg.Warnings()
		for n, w := range warnings {
			warnings[n] = text.Printable(w)
			fmt.Fprintln(e.stderr, "warning: "+warnings[n])
		}
		if alone {
			printChecked(e, checked{Configuration: path, Good: true, Warnings: warnings})
		}
		if *online && !checkOnline(e, cfg, *mailbox, *asJSON) {
			return exitError{status: exitBadUsage}
		}
		if *running && !checkRelay(e, cfg, *asJSON) {
			return exitError{status: exitBadUsage}
		}
		if !*asJSON {
			printSharedNames(e, cfg)
			printCertificates(e, cfg)
			fmt.Fprintf(e.stdout, "%s is good\n", text.Printable(path))
		}
		return nil
	}
	return c
}

// checked is what --json prints of the file.
type checked struct {
	Configuration string   `json:"configuration"`
	Good          bool     `json:"good"`
	Faults        []string `json:"faults,omitempty"`
	Warnings      []string `json:"warnings,omitempty"`
}

func printChecked(e env, c checked) { _ = json.NewEncoder(text.JSONWriter(e.stdout)).Encode(c) }

// printSharedNames names the mailboxes whose display name recipients see for several senders.
func printSharedNames(e env, cfg *config.Config) {
	if shared := cfg.SharedNames(); len(shared) > 0 {
		fmt.Fprintf(e.stdout, "note: several senders may share %s; recipients see the mailbox's own display name, whatever name the senders write into From (docs/senders.md)\n",
			text.Printable(strings.Join(shared, ", ")))
	}
}

// printCertificates shows the certificates with which connections sign in, and who renews them.
func printCertificates(e env, cfg *config.Config) {
	for i := range cfg.Connections {
		c := &cfg.Connections[i]
		for _, s := range connection.Certificates(c) {
			what := s.Use + " certificate"
			switch {
			case s.Fault != "":
				what += " cannot be used: " + text.Printable(s.Fault)
			case !s.Managed:
				what = fmt.Sprintf("certificate %s until %s; you renew it", s.Thumbprint, s.Until.UTC().Format(time.DateOnly))
			default:
				what += fmt.Sprintf(" %s until %s", s.Thumbprint, s.Until.UTC().Format(time.DateOnly))
				if !s.Registered {
					what += ", not registered yet"
				}
				if s.Unremovable {
					what += ", whose ID in Entra is not known: unless the application has Application.Read.All, it stays registered there until you remove it or it expires (docs/sign-in.md)"
				}
				if !s.Renewal.IsZero() && c.CertificateRenewal {
					what += ", renewed by the relay from " + s.Renewal.UTC().Format(time.DateOnly)
				} else if !s.Renewal.IsZero() {
					what += "; certificate_renewal is false, so you renew it"
				}
			}
			fmt.Fprintf(e.stdout, "note: connection %s: %s\n", c.Name, what)
		}
	}
}

// checkOnline tries each connection, prints the results, and reports whether all are good.
func checkOnline(e env, cfg *config.Config, mailbox string, asJSON bool) bool {
	checker, closeChecker := mailboxes.OpenChecker(context.Background(), cfg)
	defer closeChecker()
	good := true
	var notTried []string
	var checks []connection.Check
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "CONNECTION\tSIGN-IN\tTOKEN\tRIGHTS IN IT\tMAILBOX\tDIRECTORY\tCREDENTIAL UNTIL")
	}
	for i, check := range tryConnections(cfg, checker, mailbox) {
		c := &cfg.Connections[i]
		good = good && check.Good
		checks = append(checks, check)
		if asJSON {
			_ = json.NewEncoder(text.JSONWriter(e.stdout)).Encode(check)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, c.SignIn, until("ok, until ", check.TokenUntil), cmp.Or(text.Printable(strings.Join(check.Rights, " ")), "-"),
			mailboxText(check), cmp.Or(check.Directory, "-"), until("", check.Expires))
		for _, f := range check.Faults {
			fmt.Fprintf(e.stderr, "graphrelay: connection %s: %s\n", c.Name, text.Printable(f))
		}
		for _, warning := range check.Warnings {
			fmt.Fprintf(e.stderr, "warning: connection %s: %s\n", c.Name, text.Printable(warning))
		}
		for _, n := range check.NotTried {
			notTried = append(notTried, fmt.Sprintf("not tried: connection %s: %s", c.Name, text.Printable(n)))
		}
	}
	if !asJSON {
		printMailboxes(w, checks)
	}
	_ = w.Flush()
	for _, line := range notTried {
		fmt.Fprintln(e.stdout, line)
	}
	return good
}

// triedAtATime is how many connections are tried at a time, so that one that does not answer does
// not keep the others waiting.
const triedAtATime = 8

// tryConnections returns the result for each connection, in their order.
func tryConnections(cfg *config.Config, checker connection.Checker, mailbox string) []connection.Check {
	checks := make([]connection.Check, len(cfg.Connections))
	slots := make(chan struct{}, triedAtATime)
	var wg sync.WaitGroup
	for i := range cfg.Connections {
		c, of := &cfg.Connections[i], mailbox
		if mailbox != "" && len(cfg.Connections) > 1 && cfg.ConnectionOf(mailbox) != c {
			of = ""
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			checks[i] = checker.Check(context.Background(), c, of)
		})
	}
	wg.Wait()
	return checks
}

// printMailboxes prints what may be done in each mailbox: "ok" is a permission of the token,
// "tried" one that a request without effect has shown.
func printMailboxes(w io.Writer, checks []connection.Check) {
	word := map[connection.Right]string{connection.RightUnknown: "-", connection.RightInToken: "ok", connection.RightTried: "ok, tried", connection.RightRefused: "refused"}
	heading := "\nCONNECTION\tMAILBOX\tREAD\tWRITE\tSEND\n"
	for _, c := range checks {
		for _, m := range c.Mailboxes {
			fmt.Fprint(w, heading)
			heading = ""
			read := "-"
			if m.Readable {
				read = "ok"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Connection, text.Printable(m.Address), read, word[m.Write], word[m.Send])
		}
	}
}

func until(prefix string, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return prefix + t.Format(time.RFC3339)
}

func mailboxText(c connection.Check) string {
	failed := 0
	for _, m := range c.Mailboxes {
		if !m.Readable || m.Write == connection.RightRefused || m.Send == connection.RightRefused {
			failed++
		}
	}
	switch n := len(c.Mailboxes); {
	case c.Good && !c.Readable:
		return "not tried" // with Mail.Send alone
	case n > 1 && failed > 0:
		return fmt.Sprintf("%d of %d failed", failed, n)
	case n > 1:
		return fmt.Sprintf("%d ok", n)
	case c.Readable:
		return text.Printable(c.Mailbox) + " ok"
	case c.Mailbox != "" && !c.Good:
		return text.Printable(c.Mailbox) + " failed"
	}
	return "not tried"
}
