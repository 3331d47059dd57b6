package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/internal/buildinfo"
	"graphrelay/internal/text"
	"graphrelay/relay/connection"
	"graphrelay/relay/credential"
)

// ErrUnfinished means that the set-up is not complete, because of what was said before.
var ErrUnfinished = errors.New("the set-up is not complete yet")

// client returns a client that signs in as the application does. Each has a token of its
// own, which knows the grants of its moment.
func (r *run) client(store *credential.Store) *graph.Client {
	login, graphURL := r.endpoints()
	app := entra.App{Tenant: r.state.TenantID, ClientID: r.state.ClientID, LoginURL: login, GraphURL: graphURL}
	return graph.New(graph.Config{Tenant: app.Tenant, ClientID: app.ClientID, GraphURL: graphURL, Timeout: requestTimeout, Concurrency: 1,
		UserAgent: buildinfo.Read().UserAgent(), SignIn: entra.Certificate{App: app, Certificate: store.TLS()}})
}

// prove waits until the application can sign in and may use the mailboxes, and then runs
// check --online. It reports whether no fault was found.
func (r *run) prove(ctx context.Context, store *credential.Store) (good bool, err error) {
	if r.state.Rights.IsZero() {
		if err := r.awaitToken(ctx, store); err != nil {
			return false, err
		}
		arrived, err := r.awaitRights(ctx, store)
		if err != nil || !arrived {
			return false, err
		}
		r.state.Rights = time.Now().UTC()
		if err := r.step("rights"); err != nil {
			return false, err
		}
	}
	if r.o.Check != nil {
		r.say("\nChecking the configuration and its connection:")
		if !r.o.Check(ctx, r.o.Config, r.mailbox()) {
			return false, nil
		}
	}
	if good, err := r.offerProbe(ctx); !good || err != nil {
		return false, err
	}
	if err := r.testMail(ctx, store); err != nil {
		return false, err
	}
	if r.state.Done.IsZero() {
		r.state.Done = time.Now().UTC()
		return true, r.step("done")
	}
	return true, nil
}

// awaitToken waits until Entra knows the certificate, and the grants are in the token.
func (r *run) awaitToken(ctx context.Context, store *credential.Store) error {
	err := r.until(ctx, "Entra does not know the new certificate and grants everywhere yet.", func() (bool, error) {
		c := r.client(store)
		defer c.Close()
		token, err := c.Token(ctx, "")
		if err != nil {
			return graph.CredentialRefused(err), err
		}
		for _, role := range r.state.Choices.roles() {
			if rights, readable := connection.Rights(token.AccessToken); readable && !slices.Contains(rights, role) {
				return true, fmt.Errorf("the token does not have %s yet", role)
			}
		}
		return false, nil
	})
	if err != nil {
		if advice := graph.Advice(err); advice != "" {
			err = fmt.Errorf("%w; %s", err, advice)
		}
		return fmt.Errorf("the application cannot sign in: %w", err)
	}
	r.say("The application can sign in.")
	return nil
}

// awaitRights waits until the application may read the mailboxes. It reports false if the
// rights that Exchange gives have not arrived.
func (r *run) awaitRights(ctx context.Context, store *credential.Store) (arrived bool, err error) {
	if r.state.Choices.Scope == Tenant {
		err := r.until(ctx, "Exchange does not know the new grants yet.", func() (bool, error) {
			err := r.readMailboxes(ctx, store)
			return graph.AccessDenied(err), err
		})
		return err == nil, mailboxAdvice(err)
	}
	r.say("\nAn Exchange administrator has to give the application its rights, in these mailboxes alone. Paste into PowerShell\n(Install-Module ExchangeOnlineManagement, if it is not there):\n\n%s",
		indent(r.state.exchangeCommands()))
	wait := r.o.RightsWait
	if r.in != nil {
		r.say("Press Enter once that is done. Until then nothing has to run here: with Ctrl-C you stop, and the same command goes on.")
		if _, err := r.read(ctx); err != nil {
			return false, err
		}
	} else if wait == 0 {
		r.say("Once that is done, run the same command again.")
		return false, nil
	}
	end := time.Now().Add(wait)
	for {
		err := r.readMailboxes(ctx, store)
		switch {
		case err == nil:
			r.say("The rights have arrived: the application may read %s.", joined(r.state.Choices.Mailboxes))
			return true, nil
		case !graph.AccessDenied(err) && !graph.Busy(err):
			return false, mailboxAdvice(err)
		}
		next := time.Now().Add(r.o.pace.rights)
		if next.After(end) {
			r.say("The rights have not arrived: %s.\nExchange shows what it gives, at once, with the Test- commands above. Run the same command again to go on.", text.Printable(err.Error()))
			return false, nil
		}
		r.say("Not yet. Exchange tells Graph after 30 minutes in which nothing asks, or after up to two hours. The next try is at %s; Ctrl-C stops, and the same command goes on.",
			next.Local().Format(time.TimeOnly))
		if err := sleep(ctx, r.o.pace.rights); err != nil {
			return false, err
		}
	}
}

// readMailboxes looks into each mailbox, and returns the first error.
func (r *run) readMailboxes(ctx context.Context, store *credential.Store) error {
	c := r.client(store)
	defer c.Close()
	for _, m := range r.state.Choices.Mailboxes {
		if _, err := c.Mailbox(m).Probe(ctx); err != nil {
			return fmt.Errorf("mailbox %s: %w", m, err)
		}
	}
	return nil
}

func mailboxAdvice(err error) error {
	advice := graph.Advice(err)
	if advice == "" && graph.MailboxUnknown(err) {
		advice = "check the address: it has to be the primary one of a mailbox in this tenant, with a licence"
	}
	if err == nil || advice == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}

// offerProbe offers to try what the relay takes for granted of Graph. It reports whether that
// found no fault.
func (r *run) offerProbe(ctx context.Context) (good bool, err error) {
	if !r.state.Done.IsZero() {
		return true, nil
	}
	command := fmt.Sprintf("%s probe --config %s --mailbox %s", r.program(), r.o.Config, r.mailbox())
	if r.o.Probe == nil || r.in == nil {
		r.say("\nTo try on this tenant what the relay takes for granted of Graph:\n\n    %s", command)
		return true, nil
	}
	yes, err := r.confirm(ctx, fmt.Sprintf("Try on this tenant what the relay takes for granted of Graph? It takes some minutes, writes only to the Drafts of %s,\nsends only to it, and removes what it made. (Later: %s)", r.mailbox(), command), false)
	if err != nil || !yes {
		return err == nil, err
	}
	good = r.o.Probe(ctx, r.o.Config, r.mailbox())
	return good, ctx.Err()
}

// testMail sends a message from the first mailbox, if that is wanted. It goes to Graph as the
// relay's mail does.
func (r *run) testMail(ctx context.Context, store *credential.Store) error {
	to := r.o.TestMail
	if to == "" && r.in != nil && r.state.Done.IsZero() {
		answer, err := r.line(ctx, "test-mail", fmt.Sprintf("Send a test message from %s? Write the address that is to get it, or no.", r.mailbox()), "no", func(s string) error {
			if s == "no" {
				return nil
			}
			return checkMailboxes([]string{s})
		})
		if err != nil {
			return err
		}
		if answer != "no" {
			to = answer
		}
	}
	if to == "" {
		return nil
	}
	c := r.client(store)
	defer c.Close()
	message := &graph.Message{Subject: "graphrelay: test message", Body: graph.Body{ContentType: "text",
		Content: "graphrelay setup has sent this message through Microsoft Graph. Replies go to " + r.mailbox() + "."}}
	message.ToRecipients = []graph.Recipient{{EmailAddress: graph.EmailAddress{Address: to}}}
	if _, err := c.Mailbox(r.mailbox()).SendMail(ctx, graph.Mail{Message: message, KeepCopy: true}, nil); err != nil {
		if graph.AccessDenied(err) {
			err = fmt.Errorf("%w; the application may read the mailbox, but not send from it: see that it has Mail.Send, or the role Application Mail.Send", err)
		}
		if graph.Ambiguous(err) {
			return fmt.Errorf("whether the test message was sent is not known: %w; look into Sent Items", err)
		}
		return fmt.Errorf("the test message was not sent: %w", err)
	}
	r.say("Sent a test message from %s to %s.", r.mailbox(), to)
	return nil
}
