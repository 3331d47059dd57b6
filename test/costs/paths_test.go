package costs

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
)

// paths are the hot paths, and how each is measured.
var paths = []struct {
	name string
	cost func(testing.TB) costs
}{
	{"accept 10 KB", acceptCost},
	{"claim and finish", claimCost},
	{"convert small", func(tb testing.TB) costs { return convertCost(tb, 200, smallMessage()) }},
	{"convert multipart", func(tb testing.TB) costs { return convertCost(tb, 200, multipartMessage(7<<10)) }},
	{"convert 3 MB file", func(tb testing.TB) costs { return convertCost(tb, 20, multipartMessage(2_900_000)) }},
	{"create and send a draft", requestCost},
	{"attach 3 MB file", attachCost},
	{"whole cycle", cycleCost},
}

// acceptCost is that of one SMTP session's messages, each durable in the queue of a whole
// relay whose lanes are paused.
func acceptCost(tb testing.TB) costs {
	relay := startRelay(tb, startGraph(tb), io.Discard)
	if err := relay.Store.Pause(tb.Context(), queue.Lane{Connection: "contoso"}, relay.Store.Now().Add(time.Hour), "operator"); err != nil {
		tb.Fatal(err)
	}
	c := dialRelay(tb, relay.Address("127.0.0.1:0"))
	transaction := transactionOf("scanner@contoso.test", tenKilobytes())
	return measure(tb, 200, func(rounds int) {
		for range rounds {
			c.send(transaction)
		}
	})
}

// claimCost is that of a claim and its end as sent, one message after the other.
func claimCost(tb testing.TB) costs {
	q, err := sqlite.Open(tb.Context(), sqlite.Options{Dir: tb.TempDir(), Exclusive: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer q.Close()
	const rounds = 200
	text := []byte(tenKilobytes())
	for i := range measurements * (rounds + rounds/10 + 1) {
		w, err := q.Create(tb.Context())
		if err == nil {
			_, err = w.Write(text)
		}
		if err == nil {
			lane := queue.Lane{Connection: "contoso", Mailbox: fmt.Sprintf("m%d@contoso.test", i%50)}
			err = w.Commit(tb.Context(), queue.Entry{Lane: lane, Envelope: queue.Envelope{From: "a@contoso.test", To: []string{"b@example.test"}}})
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return measure(tb, rounds, func(rounds int) {
		for range rounds {
			tasks, _, err := q.Claim(tb.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 4})
			if err == nil && len(tasks) == 1 {
				err = q.Finish(tb.Context(), tasks[0].Ref, queue.Outcome{State: queue.Sent})
			}
			if err != nil || len(tasks) != 1 {
				tb.Fatalf("claimed %d, %v", len(tasks), err)
			}
		}
	})
}

// convertCost is that of reading a message and the content of its attachments.
func convertCost(tb testing.TB, rounds int, raw string) costs {
	r := strings.NewReader(raw)
	c := measure(tb, rounds, func(rounds int) {
		for range rounds {
			m, err := mime.Parse(r, r.Size(), mime.DefaultLimits())
			if err != nil {
				tb.Fatal(err)
			}
			for _, a := range m.Attachments {
				if n, err := io.Copy(io.Discard, a.Open()); err != nil || n != a.Size {
					tb.Fatal(n, err)
				}
			}
		}
	})
	delete(c, bytesWritten) // it writes nothing
	return c
}

// signedIn is a sign-in that has a token.
type signedIn struct{}

func (signedIn) Source(context.Context, string) oauth2.TokenSource {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "a-token", Expiry: time.Now().Add(time.Hour)})
}
func (signedIn) PerMailbox() bool { return false }

func openMailbox(tb testing.TB) graph.Mailbox {
	c := graph.New(graph.Config{Tenant: "t", ClientID: "c", SignIn: signedIn{}, GraphURL: startGraph(tb).url, UserAgent: "graphrelay/test", Concurrency: 4, Timeout: time.Minute})
	tb.Cleanup(c.Close)
	return c.Mailbox("scanner@contoso.test")
}

// requestCost is that of the two requests for a message of 10 KB, and of their answers.
func requestCost(tb testing.TB) costs {
	mailbox := openMailbox(tb)
	draft := &graph.Message{
		Subject: "A report", Body: graph.Body{ContentType: "text", Content: strings.Repeat(line, 10<<10/len(line))},
		ToRecipients:      []graph.Recipient{{EmailAddress: graph.EmailAddress{Name: "Anna", Address: "anna@example.com"}}},
		InternetMessageID: "<report@contoso.test>",
		Properties:        []graph.Property{{ID: graph.PropertyQueueID, Value: "0123456789abcdef"}},
	}
	return measure(tb, 200, func(rounds int) {
		for range rounds {
			id, _, err := mailbox.CreateDraft(tb.Context(), draft)
			if err == nil {
				_, err = mailbox.Send(tb.Context(), id, nil)
			}
			if err != nil {
				tb.Fatal(err)
			}
		}
	})
}

// attachCost is that of a file just below the size from which there are upload sessions.
func attachCost(tb testing.TB) costs {
	mailbox := openMailbox(tb)
	content := bytes.Repeat([]byte("x"), 2_900_000)
	file := graph.Attachment{Name: "scan.pdf", ContentType: "application/pdf", Size: int64(len(content)),
		Open: func() io.Reader { return bytes.NewReader(content) }}
	return measure(tb, 20, func(rounds int) {
		for range rounds {
			if _, err := mailbox.PostAttachment(tb.Context(), "a-draft", file); err != nil {
				tb.Fatal(err)
			}
		}
	})
}

// cycleCost is that of a message from its SMTP session to the record that it was sent, one
// after the other.
func cycleCost(tb testing.TB) costs {
	g := startGraph(tb)
	sent := newSentLog()
	relay := startRelay(tb, g, sent)
	c := dialRelay(tb, relay.Address("127.0.0.1:0"))
	transaction := transactionOf("scanner@contoso.test", tenKilobytes())
	cycle := func(rounds int) {
		for range rounds {
			c.send(transaction)
			<-sent.each
		}
	}
	all := measure(tb, 50, cycle)
	before := g.requests.Load()
	cycle(10)
	all[requests] = float64(g.requests.Load()-before) / 10
	return all
}

const line = "The quick brown fox jumps over the lazy dog, and the dog does not mind. 0123\r\n"

func tenKilobytes() string {
	return "From: Scanner <scanner@contoso.test>\r\nTo: Anna <anna@example.com>\r\nSubject: A report\r\nDate: Mon, 02 Nov 2026 10:00:00 +0100\r\n" +
		"Message-ID: <report@contoso.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat(line, 10<<10/len(line))
}

// smallMessage is such as monitoring sends.
func smallMessage() string {
	return "From: Scanner <scanner@contoso.test>\r\nTo: Anna <anna@example.com>, bernd@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
		"Date: Mon, 02 Nov 2026 10:00:00 +0100\r\nMessage-ID: <small@contoso.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		strings.Repeat(line, 10)
}

// multipartMessage has text, HTML with an inline picture, and a file of so many bytes.
func multipartMessage(file int) string {
	encoded := func(n int) string {
		var b strings.Builder
		text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("a file\n"), n/7))
		for len(text) > 76 {
			b.WriteString(text[:76] + "\r\n")
			text = text[76:]
		}
		return b.String() + text + "\r\n"
	}
	return "From: Scanner <scanner@contoso.test>\r\nTo: Anna <anna@example.com>\r\nSubject: A report\r\nDate: Mon, 02 Nov 2026 10:00:00 +0100\r\n" +
		"Message-ID: <report@contoso.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_mixed\"\r\n\r\n" +
		"--=_mixed\r\nContent-Type: multipart/related; boundary=\"=_related\"\r\n\r\n" +
		"--=_related\r\nContent-Type: multipart/alternative; boundary=\"=_alternative\"\r\n\r\n" +
		"--=_alternative\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n" +
		"--=_alternative\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>Gr=C3=BC=C3=9Fe <img src=3D\"cid:dot@contoso.test\"></p>\r\n--=_alternative--\r\n" +
		"--=_related\r\nContent-Type: image/png; name=dot.png\r\nContent-ID: <dot@contoso.test>\r\nContent-Disposition: inline; filename=dot.png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded(700) + "--=_related--\r\n" +
		"--=_mixed\r\nContent-Type: application/pdf; name=scan.pdf\r\nContent-Disposition: attachment; filename=scan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded(file) + "--=_mixed--\r\n"
}
