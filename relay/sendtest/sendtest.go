// Package sendtest sends one message through a running relay, like a client, and prints each
// step until the message is found in Sent Items.
package sendtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// Options says what is sent, and how.
type Options struct {
	Config   *config.Config
	To       string
	From     string // empty: an address that the configuration names
	Listener string // by name; empty: one that fits
	User     string // empty: none
	Password func() (string, error)
	Wait     time.Duration // longest time until the message is sent
	Out      io.Writer
}

// ErrNotSent means that the message was accepted, but was not sent in time or not found in Sent
// Items.
var ErrNotSent = errors.New("the test message did not arrive in Sent Items")

// steps prints what happened, with the seconds since the beginning.
type steps struct {
	out   io.Writer
	began time.Time
}

func (s steps) at(when time.Time, what, detail string) {
	line := text.Printable(what)
	if detail != "" {
		line += ": " + text.Printable(detail)
	}
	fmt.Fprintf(s.out, "%8.3f s  %s\n", max(when.Sub(s.began).Seconds(), 0), line)
}

func (s steps) now(what, detail string) { s.at(time.Now(), what, detail) }

// Run sends the message and follows it until it is found in Sent Items.
func Run(ctx context.Context, o Options) error {
	if o.From == "" {
		if o.From = senderOf(o.Config, o.User); o.From == "" {
			return errors.New("the configuration names no mailbox that sends; name a sender with --from")
		}
	}
	for _, address := range []string{o.From, o.To} {
		if !smtpd.ValidAddress(address) {
			return fmt.Errorf("%s is no mail address; write one such as anna@contoso.test", text.Printable(address))
		}
	}
	l, err := o.listener()
	if err != nil {
		return err
	}
	s := steps{o.Out, time.Now()}
	if to := o.Config.Delivery.RedirectAll; to != "" {
		s.now("note", "delivery.redirect_all sends all mail to "+to)
	}
	id, err := o.submit(ctx, l, s)
	if err != nil {
		return err
	}
	store, err := relay.OpenQueue(ctx, o.Config, false)
	if err != nil {
		return fmt.Errorf("%s was accepted, but cannot be followed: %w", id, err)
	}
	defer store.Close()
	rec, err := follow(ctx, store, id, o.Wait, s)
	if err != nil {
		return err
	}
	return o.find(ctx, rec, s)
}

// senderOf returns an address that a client may send from: one of the user's, else one of a
// mailbox that the configuration names.
func senderOf(cfg *config.Config, user string) string {
	for _, u := range cfg.Users {
		if u.Name == user && user != "" {
			for _, p := range u.Senders {
				if a := p.String(); !strings.Contains(a, "*") && cfg.ConnectionOf(a, u.Connection) != nil {
					return a
				}
			}
		}
	}
	return cfg.SendingMailbox()
}

// lookEvery is how often the queue is looked into.
const lookEvery = 50 * time.Millisecond

// inspector is the part of the queue that follow needs.
type inspector interface {
	Get(ctx context.Context, id string) (queue.Record, []queue.Event, error)
}

// follow prints the history of the message as it happens, until the message ended or wait is
// over.
func follow(ctx context.Context, store inspector, id string, wait time.Duration, s steps) (queue.Record, error) {
	shown, deferred := 0, ""
	for end := time.Now().Add(wait); ; {
		rec, events, err := store.Get(ctx, id)
		if err != nil {
			return rec, fmt.Errorf("cannot follow %s: %w", id, err)
		}
		for ; shown < len(events); shown++ {
			e := events[shown]
			s.at(e.At, e.What, e.Detail)
		}
		why := fmt.Sprintf("%s: %s", rec.Reason, rec.Detail)
		is := string(rec.State)
		if rec.Reason != "" {
			is += ", " + why
		}
		switch rec.State {
		case queue.Sent:
			s.at(rec.Finished, "sent", "")
			return rec, nil
		case queue.Failed, queue.Held:
			return rec, fmt.Errorf("%w: %s is %s; graphrelay queue show %s has the details", ErrNotSent, id, is, id)
		case queue.Deferred:
			if deferred != why {
				s.now("deferred until "+rec.Due.Local().Format(time.TimeOnly), why)
				deferred = why
			}
		}
		if time.Now().After(end) {
			return rec, fmt.Errorf("%w within %s: %s is %s; its delivery goes on without this command; graphrelay queue show %s shows what becomes of it", ErrNotSent, wait, id, is, id)
		}
		select {
		case <-ctx.Done():
			return rec, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}
