package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/graph"
	"graphrelay/internal/text"
	"graphrelay/relay/mailboxes"
)

func connectCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "connect {MAILBOX | --list}",
		Short: "sign in the owner of a mailbox; or --list, --disconnect",
		Long: `Signs in the owner of a mailbox with a device code, and stores the refresh token
encrypted, for connections with sign_in: delegated. The owner opens a page in any browser and enters
the code.`,
		Example: `  graphrelay connect anna@contoso.com --smtp-user
  graphrelay connect info@contoso.com --shared
  graphrelay connect --list
  graphrelay connect anna@contoso.com --disconnect`,
	}
	fs := c.Flags()
	file := configFlag(c)
	connection := fs.String("connection", "", "`name` of the connection, if owners can sign in to more than one")
	user := fs.Bool("smtp-user", false, "create an SMTP user that may send from the mailbox, and print its name and password")
	shared := fs.Bool("shared", false, "the mailbox is a shared one: sign in with an account that has Full Access and Send As in it")
	list := fs.Bool("list", false, "list the connected mailboxes")
	asJSON := fs.Bool("json", false, "with --list, print one JSON object a line")
	disconnect := fs.Bool("disconnect", false, "remove the mailbox's sign-in and its SMTP user")
	c.Args = func(_ *cobra.Command, operands []string) error {
		if *list != (len(operands) == 0) || len(operands) > 1 {
			return usagef("name one mailbox, or give --list")
		}
		return nil
	}
	c.RunE = func(_ *cobra.Command, operands []string) error {
		cfg, _, err := loadConfig(e, *file)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		k, err := mailboxes.OpenConnector(ctx, cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			return badConfiguration(err)
		}
		defer k.Close()
		switch {
		case *list:
			err = listMailboxes(ctx, e, k, *asJSON)
		case *disconnect:
			err = k.Disconnect(ctx, operands[0])
		default:
			var s *mailboxes.SignIn
			if s, err = k.Begin(*connection, operands[0], *shared); err == nil {
				err = connectMailbox(ctx, e, s, *user)
			}
		}
		if err != nil {
			return fmt.Errorf("%w%s", err, connectHint(err))
		}
		return nil
	}
	return c
}

// connectMailbox has the owner sign in with a device code (RFC 8628).
func connectMailbox(ctx context.Context, e env, s *mailboxes.SignIn, user bool) error {
	code, err := s.DeviceCode(ctx)
	if err != nil {
		return err
	}
	who := "as the owner of the mailbox"
	if s.Shared() {
		who = "with an account that has Full Access and Send As in the mailbox"
	}
	fmt.Fprintf(e.stdout, "To connect %s, open %s, enter the code %s and sign in %s.\nThe code is valid until %s.\n",
		s.Mailbox(), text.Printable(code.VerificationURI), text.Printable(code.UserCode), who, code.Expiry.Local().Format(time.TimeOnly))
	if err := s.WaitForDevice(ctx, code); err != nil {
		return err
	}
	printConnected(e, s)
	if !user {
		return nil
	}
	name, password, err := s.MakeUser(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "SMTP user: %s\nSMTP password: %s\nThe password is shown only once. To replace it, run the command with --smtp-user again.\n", name, password)
	return nil
}

// printConnected says with which account the mailbox was connected, and what else a shared
// mailbox needs: neither right to send can be seen without sending.
func printConnected(e env, s *mailboxes.SignIn) {
	account := text.Printable(s.Account())
	if account == "" {
		fmt.Fprintf(e.stdout, "Connected %s.\n", s.Mailbox())
	} else {
		fmt.Fprintf(e.stdout, "Connected %s, with the account %s.\n", s.Mailbox(), account)
	}
	if !s.Served() {
		fmt.Fprintf(e.stdout, "Only the mailbox's SMTP user (--smtp-user) can send from it: its domain is in no connection, so other mail from this address is refused.\n"+
			"Add the domain to domains of the connection %s.\n", s.ConnectionName())
	}
	if s.Shared() {
		fmt.Fprintf(e.stdout, "Mail is refused unless the account also has Send As in Exchange:\n    Add-RecipientPermission %s -Trustee %s -AccessRights SendAs\n"+
			"Attached files of 3 MB or more cannot be sent from a shared mailbox.\n", s.Mailbox(), cmp.Or(account, "ACCOUNT"))
	}
}

// connectHint returns what the operator can do about an error, or nothing.
func connectHint(err error) string {
	var r *graph.Error
	switch {
	case errors.Is(err, mailboxes.ErrNoSuchMailbox):
		return "; graphrelay connect --list shows those that are"
	case errors.Is(err, context.Canceled):
		return "; nothing was stored"
	case !errors.As(err, &r):
		return ""
	}
	switch r.Code {
	case "authorization_declined", "access_denied":
		return "; the owner declined: run the command again to ask once more"
	case "expired_token":
		return "; the code has expired: run the command again for a new one"
	case "unauthorized_client", "invalid_client":
		return "; allow public client flows for the application in the Entra admin center (Authentication), or give the connection its client secret"
	}
	return ""
}

func listMailboxes(ctx context.Context, e env, k *mailboxes.Connector, asJSON bool) error {
	all, err := k.List(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(text.JSONWriter(e.stdout))
		for _, m := range all {
			if err := enc.Encode(m); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONNECTION\tMAILBOX\tACCOUNT\tSINCE\tRENEWED\tSMTP USER\tSTATE")
	for _, m := range all {
		state := "connected"
		if m.Refused != "" {
			state = "to be connected again: " + text.Printable(m.Refused)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Connection, m.Address, text.Printable(cmp.Or(m.Account, m.Address)), m.Connected.Format(time.RFC3339), m.Renewed.Format(time.RFC3339), m.User, state)
	}
	return w.Flush()
}
