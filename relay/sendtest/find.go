package sendtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
)

// findTime is how long find looks for the message.
const findTime = time.Minute

// find looks for the message in Sent Items of the mailbox that sent it. It prints why if it does
// not look there.
func (o Options) find(ctx context.Context, rec queue.Record, s steps) error {
	c := o.Config.ConnectionOf("", rec.Lane.Connection)
	switch {
	case c == nil || c.SignIn == config.SignInPassThrough:
		s.now("not looked for in Sent Items", "the credential is the client's")
		return nil
	case !c.MailReadWrite:
		s.now("not looked for in Sent Items", "the application may only send (mail_readwrite: false)")
		return nil
	case !c.SentItems:
		s.now("not looked for in Sent Items", "no copies are kept (sent_items: false)")
		return nil
	}
	client, err := o.client(ctx, c)
	if err != nil {
		return fmt.Errorf("cannot look into Sent Items: %w", err)
	}
	defer client.Close()
	box := client.Mailbox(rec.Lane.Mailbox)
	if c.Directory == config.DirectoryAuto && c.SignIn != config.SignInDelegated {
		if user, _, err := client.FindUser(ctx, rec.Lane.Mailbox); err == nil {
			box = client.Mailbox(cmp.Or(user.ID, rec.Lane.Mailbox))
		}
	}
	return await(ctx, box, rec, findTime, s)
}

// client returns a client of the connection, with the owners' tokens if it needs them.
func (o Options) client(ctx context.Context, c *config.Connection) (*graph.Client, error) {
	if c.SignIn != config.SignInDelegated {
		return connection.NewClient(o.Config, *c, connection.SignIn(*c, nil), nil), nil
	}
	checker, _ := mailboxes.OpenChecker(ctx, o.Config) // open until the command ends
	owners, err := checker.Owners(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	return connection.NewClient(o.Config, *c, connection.SignIn(*c, owners.Tokens), nil), nil
}

// await looks for the message until it is found as an item that is no draft, or wait is over.
func await(ctx context.Context, box graph.Mailbox, rec queue.Record, wait time.Duration, s steps) error {
	for end := time.Now().Add(wait); ; {
		found, _, err := box.FindByQueueID(ctx, rec.ID)
		if err == nil && len(found.Items) == 0 && rec.MessageID != "" {
			found, _, err = box.FindByMessageID(ctx, rec.MessageID)
		}
		for _, i := range found.Items {
			if err == nil && !i.IsDraft {
				s.now("found in Sent Items of "+rec.Lane.Mailbox, "")
				return nil
			}
		}
		switch {
		case err != nil && !graph.Temporary(err):
			return fmt.Errorf("it was sent, but Sent Items cannot be looked into: %w", err)
		case time.Now().After(end):
			return errors.Join(ErrNotSent, fmt.Errorf("within %s; it was sent, but is not in Sent Items of %s: look whether it arrived, and for a non-delivery report in the Inbox", wait, rec.Lane.Mailbox), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * lookEvery):
		}
	}
}
