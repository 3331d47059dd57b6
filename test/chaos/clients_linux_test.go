package chaos

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// title begins the subjects of all mail of a round.
const title = "chaos "

const boxes = 8

func box(n int) string { return fmt.Sprintf("box-%d@contoso.test", n%boxes) }

// plant puts items of their owners into all mailboxes.
func (r *round) plant(t *testing.T) {
	for n := range boxes {
		for _, folder := range []string{simulator.Drafts, simulator.SentItems} {
			r.sim.Plant(t, simulator.Message{Mailbox: box(n), Folder: folder, Subject: "private", To: []simulator.Address{{Address: "friend@example.net"}}})
		}
	}
}

// newOutbox returns clients that send plain messages, messages with small and large files, and
// signed ones, with and without TLS and a password, at a pace at which the relay keeps up.
func (r *round) newOutbox() *harness.Outbox {
	small := harness.File{Name: "small.bin", Type: "application/octet-stream", Content: harness.Noise("small", 20_000)}
	large := harness.File{Name: "large.bin", Type: "application/octet-stream", Content: harness.Noise("large", 3_400_000)}
	var dialed atomic.Int64
	return &harness.Outbox{
		Title: title, Patient: true, Connections: 5, Messages: 1 << 30,
		Dial: func() (*harness.Dialog, error) {
			return r.relay.Dial([]string{"devices", "devices", "submissions", "submission"}[dialed.Add(1)%4])
		},
		Make: func(n int) harness.Sample {
			own := rand.New(rand.NewPCG(r.seed, uint64(n)))
			time.Sleep(time.Duration(own.IntN(400)) * time.Millisecond)
			subject := fmt.Sprintf("%s%06d", title, n)
			s := harness.Sample{From: box(n), To: []string{fmt.Sprintf("to-%d@example.com", n%40)}, Subject: subject,
				Text: harness.WrappedText(harness.Noise(subject, 100<<own.IntN(12)))}
			switch own.IntN(8) {
			case 0:
				s.Files = []harness.File{small, small}
			case 1:
				s.Signed = true
			case 2:
				if own.IntN(5) == 0 {
					s.Files = []harness.File{small, large}
				}
			}
			return s
		},
	}
}

// startOthers starts clients that misbehave and programs that look at the relay all the time.
// The function ends them.
func (r *round) startOthers(t *testing.T) (stop func()) {
	t.Helper()
	var stopped atomic.Bool
	var wg sync.WaitGroup
	repeat := func(pause time.Duration, do func()) {
		wg.Go(func() {
			for !stopped.Load() {
				do()
				time.Sleep(pause)
			}
		})
	}
	for n := range 3 {
		own := rand.New(rand.NewPCG(r.seed, uint64(1000+n)))
		repeat(30*time.Millisecond, func() { misbehave(r.relay.Address["devices"], own) })
	}
	scraper := http.Client{Timeout: 10 * time.Second}
	for _, path := range []string{"/metrics", "/readyz", "/connect"} {
		repeat(100*time.Millisecond, func() {
			if reply, err := scraper.Get("http://" + r.relay.Address["admin"] + path); err == nil {
				_, _ = io.Copy(io.Discard, reply.Body)
				_ = reply.Body.Close()
			}
		})
	}
	return func() {
		stopped.Store(true)
		wg.Wait()
		scraper.CloseIdleConnections()
	}
}

// misbehave is a client from another address whose mail must never be sent.
func misbehave(address string, random *rand.Rand) {
	d, err := harness.DialFrom("127.0.0.66", address)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.TCP.SetDeadline(time.Now().Add(20 * time.Second))
	const message = "From: box-1@contoso.test\r\nSubject: chaos never\r\n\r\nunfinished\r\n"
	switch random.IntN(8) {
	case 0: // noise
		_, _ = d.TCP.Write(harness.Noise(fmt.Sprint(random.Uint64()), 1+random.IntN(5000)))
	case 1: // breaks off within the message
		if d.Envelope("box-1@contoso.test", "to-1@example.com") == nil {
			_ = d.PrintfLine("DATA\r\n%s", message)
		}
		_ = d.TCP.SetLinger(0)
	case 2: // within a chunk
		if d.Envelope("box-1@contoso.test", "to-1@example.com") == nil {
			_ = d.PrintfLine("BDAT %d LAST\r\n%s", len(message)+7, message)
		}
	case 3: // many recipients, none of them good
		if d.Envelope("box-1@contoso.test") == nil {
			for n := range 30 {
				_ = d.Answer("RCPT TO:<nobody %d>", n)
			}
		}
	case 4: // guesses
		_ = d.Answer("AUTH PLAIN %s", harness.PlainResponse("crm", "guess"))
	case 5: // pipelines everything
		_, _ = d.TCP.Write([]byte(strings.Repeat("MAIL FROM:<box-1@contoso.test>\r\nRSET\r\nNOOP\r\n", 20) + "QUIT\r\nMAIL FROM:<>\r\n"))
		_, _ = io.CopyN(io.Discard, d.TCP, 500)
	case 6: // idles
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
	case 7: // an end of the message that is none
		if d.Envelope("box-1@contoso.test", "to-1@example.com") == nil {
			_ = d.PrintfLine("DATA")
			_ = d.PrintfLine("%s\n.\nQUIT", message)
		}
	}
}
