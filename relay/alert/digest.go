package alert

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
)

// digestID marks a digest among the incidents: that it is there says that it was made.
const digestID = "Digest"

const (
	// maxClients is how many clients a digest names.
	maxClients = 50
	// maxCounted bounds the clients that are counted; the rest is counted as one.
	maxCounted = 5000
	digestPage = 1000
	maxPages   = 300
)

// makeDigest makes the digest of the day before, once it is time. A relay that did not run at that
// time makes it when it is started, on the same day. Mail of the local book is all of it, or that
// of the queue where this node looks after it.
func (m *Manager) makeDigest(ctx context.Context, now time.Time) {
	s := &m.settings
	b := m.local
	switch {
	case s.Digest == "" || m.shared != nil && !m.leading:
		return
	case m.shared != nil:
		b = m.shared
	}
	local := now.Local()
	clock, err := time.Parse("15:04", s.Digest)
	if err != nil {
		return
	}
	at := time.Date(local.Year(), local.Month(), local.Day(), clock.Hour(), clock.Minute(), 0, 0, time.Local)
	ref := "DIGEST-" + at.Format(time.DateOnly)
	if now.Before(at) || slices.ContainsFunc(b.incidents, func(i *Incident) bool { return i.Ref == ref }) {
		return
	}
	since := at.AddDate(0, 0, -1)
	lines, err := digest(ctx, m.queue, since, at)
	if err != nil {
		m.report(ctx, fmt.Errorf("the digest cannot be made: %w", err))
		return
	}
	i := &Incident{Ref: ref, Opened: now, Closed: now, Text: lines, Told: map[string]*Told{}}
	i.ID, i.Since, i.Summary = digestID, since, "Mail of "+since.Format("2006-01-02 15:04")+" to "+at.Format("2006-01-02 15:04 MST")
	b.incidents = append(b.incidents, i)
	b.changed(i)
}

// tally counts the messages of a client.
type tally struct{ accepted, delivered, failed, returned, waiting, held int }

func (t *tally) add(s queue.State) {
	t.accepted++
	switch s {
	case queue.Sent:
		t.delivered++
	case queue.Returned:
		t.delivered++
		t.returned++
	case queue.Failed:
		t.failed++
	case queue.Held:
		t.held++
	case queue.Queued, queue.Deferred, queue.Delivering:
		t.waiting++
	}
}

// digest counts what was accepted in a time, by user or client and sender, and what became of it.
func digest(ctx context.Context, q Queue, since, before time.Time) ([]string, error) {
	all, clients := tally{}, map[string]*tally{}
	after := ""
	for range maxPages {
		list, err := q.List(ctx, queue.Filter{Since: since, Before: before, After: after, Limit: digestPage})
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			after = r.ID
			all.add(r.State)
			name := clientOf(r)
			if clients[name] == nil && len(clients) >= maxCounted {
				name = "others"
			}
			if clients[name] == nil {
				clients[name] = &tally{}
			}
			clients[name].add(r.State)
		}
		if len(list) < digestPage {
			break
		}
	}
	return digestLines(all, clients), nil
}

// clientOf returns who sent a message, and as whom.
func clientOf(r queue.Record) string {
	switch {
	case r.Client == "":
		return "the relay itself"
	case r.User != "":
		return text.Shorten(text.OneLine(r.User+", as "+cmp.Or(r.Envelope.From, "<>")), 100)
	}
	return text.Shorten(text.OneLine(r.Client+", as "+cmp.Or(r.Envelope.From, "<>")), 100)
}

func digestLines(all tally, clients map[string]*tally) []string {
	lines := []string{tableLine("accepted", "delivered", "returned", "failed", "held", "waiting", "by"), tallyLine(all, "all")}
	var names []string
	for name := range clients {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := clients[a], clients[b]
		return cmp.Or(y.failed+y.held+y.returned-x.failed-x.held-x.returned, y.accepted-x.accepted, strings.Compare(a, b))
	})
	for at, name := range names {
		if at == maxClients {
			lines = append(lines, fmt.Sprintf("and %d more", len(names)-at))
			break
		}
		lines = append(lines, tallyLine(*clients[name], name))
	}
	return lines
}

func tallyLine(t tally, name string) string {
	n := func(i int) string { return fmt.Sprint(i) }
	return tableLine(n(t.accepted), n(t.delivered), n(t.returned), n(t.failed), n(t.held), n(t.waiting), name)
}

func tableLine(accepted, delivered, returned, failed, held, waiting, by string) string {
	return fmt.Sprintf("%-9s %-9s %-9s %-9s %-9s %-9s %s", accepted, delivered, returned, failed, held, waiting, by)
}
