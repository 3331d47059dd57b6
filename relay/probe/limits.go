package probe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/bounce"
	"graphrelay/relay/reports"
)

// sendLarge is step 18.
func (p *Probe) sendLarge(ctx context.Context, r *Result) {
	switch {
	case !p.o.Large:
		r.skip("only with --large")
		return
	case p.session >= 300 || p.session == 0:
		r.skip("step 9 got no upload session")
		return
	}
	limit := int64(p.o.Config.MessageSize(p.o.Connection))
	for n, size := range p.o.LargeSizes {
		a, at := p.sendFile(ctx, size, fmt.Sprintf("18-%d", n+1))
		r.by(a)
		r.saw("%s bytes: %s at the %s", number(int(size)), a, at)
		switch {
		case a.is(http.StatusAccepted):
			p.facts.set(factLargeAccepted, size)
			continue
		case graph.MaybeTooLarge(a.err):
			p.facts.set(factLargeRefused, size)
			p.facts.set(factLargeAt, at)
			if bySMTP := encoded(size); bySMTP < limit {
				r.differs(fmt.Sprintf("the tenant takes less than the configured size: set message_size of the connection, or limits.message_size, below %s bytes, which is that file as it comes by SMTP; Set-TransportConfig and Set-Mailbox -MaxSendSize in Exchange change what the tenant takes", number(int(bySMTP))))
			}
		default:
			r.fault(p.remedy(a.err))
		}
		return
	}
}

// encoded returns the bytes that a file has in a message that comes by SMTP: base64 in lines of
// 76 characters and their ends.
func encoded(size int64) int64 { return (size + 56) / 57 * 78 }

// sendFile sends a message with a file of this size. It returns the last answer, and which
// request that answers: "create", "attachment" or "send".
func (p *Probe) sendFile(ctx context.Context, size int64, label string) (a answer, at string) {
	m := p.marked(p.subject(label))
	id, a := p.create(ctx, m, m.Subject)
	if id == "" {
		return a, "create"
	}
	p.appears(ctx, id)
	a, at = p.upload(ctx, id, size)
	if a.err == nil {
		a, at = p.send(ctx, id, m.Subject, p.o.To), "send"
	}
	if !a.is(http.StatusAccepted) || at != "send" {
		p.discard(ctx, id)
	}
	return a, at
}

// upload adds a file of this size to a draft.
func (p *Probe) upload(ctx context.Context, id string, size int64) (answer, string) {
	s, a := p.createSession(ctx, id, "graphrelay-probe-large.bin", size, false)
	for at := int64(0); at < size && a.err == nil; at += graph.RangeBytes {
		length := min(graph.RangeBytes, size-at)
		a = p.put(ctx, s.URL, filler(length), at, length, size)
	}
	if a.err == nil {
		p.made.uploads = slices.DeleteFunc(p.made.uploads, func(u string) bool { return u == s.URL })
	}
	return a, "attachment"
}

// atOnce is how many requests step 19 makes at a time: one more than Graph is documented to
// serve.
const atOnce = 5

// concurrency is step 19.
func (p *Probe) concurrency(ctx context.Context, r *Result) {
	if !p.has[writes] && !p.o.Config.WatchesReports(p.o.Connection) {
		r.skip(missing(writes) + ", and not into them either")
		return
	}
	least, limited := atOnce, false
	for range 3 {
		served, refused := p.volley(ctx)
		if len(refused) > 0 {
			r.by(refused[0])
			p.pause(refused[0])
			if refused[0].Status != http.StatusTooManyRequests {
				r.saw("%s", refused[0])
				r.fault(p.remedy(refused[0].err))
				return
			}
			limited = true
			r.saw("%d served, %s, Retry-After %q", served, refused[0], refused[0].RetryAfter)
		}
		least = min(least, served)
		p.sleepUntil(ctx, p.resume)
		if limited {
			break
		}
	}
	if !limited {
		r.saw("all are served")
		return
	}
	p.facts.set(factConcurrency, least)
	if least < 4 {
		r.differs(fmt.Sprintf("set delivery.mailbox_concurrency: %d, or find out what else uses the mailbox with this application", max(least, 1)))
	}
}

// volley makes atOnce requests at the same time. It returns how many were served, and the
// answers to the others.
func (p *Probe) volley(ctx context.Context) (served int, refused []answer) {
	p.sleepUntil(ctx, p.resume)
	answers := make([]answer, atOnce)
	var group sync.WaitGroup
	for n := range answers {
		group.Go(func() {
			answers[n] = p.doNow(ctx, graph.RawRequest{Op: "probe", Method: http.MethodGet, Path: "/users/" + url.PathEscape(p.key) + "/messages",
				Query: url.Values{"$select": {"id"}, "$top": {"1"}}})
		})
	}
	group.Wait()
	for _, a := range answers {
		if a.err == nil {
			served++
		} else {
			refused = append(refused, a)
		}
	}
	return served, refused
}

// maxReports is how many non-delivery reports are read.
const maxReports = 20

// returns is step 20.
func (p *Probe) returns(ctx context.Context, r *Result) {
	switch {
	case p.firstSend.IsZero():
		r.skip("nothing was sent")
		return
	case !p.has[writes] && !p.o.Config.WatchesReports(p.o.Connection):
		r.skip(missing(writes) + ", and not into them either")
		return
	}
	read := map[string]bool{}
	var codes []string
	p.slowly(ctx, time.Until(p.firstSend.Add(p.w.Returns)), func() bool {
		codes = p.readReports(ctx, read)
		return len(codes) > 0
	})
	if len(codes) == 0 {
		r.saw("none for %s", time.Since(p.firstSend).Round(time.Second))
		return
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	p.facts.set(factReturned, codes)
	for _, code := range codes {
		meaning := bounce.AdviceForCode(code)
		r.saw("a report with %s", code)
		r.fault(code + ": " + meaning.Why + " " + meaning.Do)
	}
}

// propertyClass is PidTagMessageClass (MS-OXCMSG section 2.2.1.3).
const propertyClass = "String 0x001A"

// readReports reads the reports in the Inbox that came since the probe began, and returns the
// codes of those about messages of ours.
func (p *Probe) readReports(ctx context.Context, read map[string]bool) (codes []string) {
	found, _ := p.list(ctx, inboxFolder, propertyClass)
	for _, i := range found {
		class, _ := value(i.Properties, propertyClass)
		isReport := strings.HasPrefix(class, "REPORT.") || strings.Contains(i.Subject, p.marker) && !p.sentSubject(i.Subject)
		if !isReport || read[i.ID] || len(read) >= maxReports {
			continue
		}
		a := p.get(ctx, itemPath(i.ID)+"/$value", nil)
		if a.err != nil {
			continue
		}
		read[i.ID] = true
		messageID, of, err := reports.Codes(a.Body)
		if err != nil || !strings.Contains(messageID, p.marker) && messageID != p.messageID && !strings.Contains(i.Subject, p.marker) {
			continue
		}
		if len(of) == 0 {
			of = []string{"none"}
		}
		codes = append(codes, of...)
	}
	return codes
}

func (p *Probe) sentSubject(subject string) bool {
	return slices.ContainsFunc(p.made.messages, func(m *message) bool { return m.subject == subject })
}
