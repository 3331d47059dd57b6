package load

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

const (
	largeMessage = 140_000_000 // bytes of MIME
	mostMemory   = 48 << 10    // KiB that serve may take
)

// TestPeakMemory sends a message of 140 MB through a relay without the race detector. It
// must arrive whole, and the relay's memory must stay flat.
func TestPeakMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	sim := harness.ReleasedSim(t)
	relay := harness.ReleasedRelay(t, sim)
	relay.Start(t)
	d, err := relay.Dial("submission")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	content := &generated{from: "crm@contoso.test", left: largeMessage / 78 * 57, source: rand.NewChaCha8([32]byte{1})}
	if _, err := d.Submit("crm@contoso.test", []string{"anna@example.com"}, content.message()); err != nil {
		t.Fatal(err)
	}
	var files []simulator.DeliveredFile
	harness.WaitFor(t, "the large message", func() bool {
		for _, sent := range sim.Ledger(t) {
			files = sent.Attachments
		}
		return files != nil
	})
	if want := hex.EncodeToString(content.hash.Sum(nil)); len(files) != 1 || files[0].SHA256 != want {
		t.Errorf("attachments %+v, want one with the hash %s", files, want)
	}
	peak := harness.PeakMemory(t, relay.Process)
	t.Logf("peak memory: serve %d KiB, simulate %d KiB", peak, harness.PeakMemory(t, sim.Process))
	if peak > mostMemory {
		t.Errorf("serve took %d KiB, more than %d", peak, mostMemory)
	}
}

// TestDeliveryMemory has a relay with its default settings take and deliver large messages at
// once, and compares its peak memory with the bounds of docs/performance.md. All of them have to
// be in delivery at a time.
func TestDeliveryMemory(t *testing.T) {
	needCompare(t)
	for _, c := range []struct {
		name                string
		messages, mailboxes int
		bytes               int // of a message
		latency             string
		most                float64 // MiB
	}{
		{"a message of 150 MB", 1, 1, 150_000_000, "0s", 32},
		{"eight of them", 8, 8, 150_000_000, "0s", 64},
		{"256 with a file of 3 MB", 256, 64, 4_000_000, "10s", 128},
	} {
		var peaks []float64
		for range *rounds {
			t.Run(c.name, func(t *testing.T) {
				sim := harness.ReleasedSim(t, "--latency", c.latency)
				relay := harness.ReleasedRelay(t, sim, harness.LimitsKey("connections_per_address: 100"))
				relay.Start(t)
				relay.PauseAll(t)
				submitLarge(t, relay, c.messages, c.mailboxes, c.bytes)
				relay.ResumeAll(t)
				if c.messages > 1 {
					harness.WaitFor(t, "all in delivery", func() bool { return relay.Open(t, "delivering") == float64(c.messages) })
				}
				harness.WaitFor(t, "all messages", func() bool { return sim.Sends(t) == c.messages })
				relay.Settled(t)
				peaks = append(peaks, float64(harness.PeakMemory(t, relay.Process))/1024)
				if p := peaks[len(peaks)-1]; p > c.most {
					t.Errorf("peak memory %.1f MiB, want at most %.0f", p, c.most)
				}
			})
		}
		if len(peaks) > 0 { // -run may have left it out
			t.Logf("%s: peak memory %.1f MiB (%.1f to %.1f)", c.name, median(peaks), slices.Min(peaks), slices.Max(peaks))
		}
	}
}

// submitLarge submits messages over eight connections.
func submitLarge(t *testing.T, relay *harness.Relay, messages, mailboxes, bytes int) {
	t.Helper()
	var wg sync.WaitGroup
	for c := range min(8, messages) {
		wg.Go(func() {
			d, err := relay.Dial("devices")
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			for n := c; n < messages; n += 8 {
				from := fmt.Sprintf("large-%d@contoso.test", n%mailboxes)
				content := &generated{from: from, left: bytes / 78 * 57, source: rand.NewChaCha8([32]byte{byte(n)})}
				if _, err := d.Submit(from, []string{"anna@example.com"}, content.message()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// generated is a message whose attachment is generated while it is read.
type generated struct {
	from   string
	left   int
	source io.Reader
	hash   interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func (g *generated) message() io.Reader {
	g.hash = sha256.New()
	r, w := io.Pipe()
	go func() { w.CloseWithError(g.write(w)) }()
	return r
}

func (g *generated) write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprint(b, "From: <"+g.from+">\r\nTo: <anna@example.com>\r\nSubject: large\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nLarge.\r\n--b\r\n"+
		"Content-Type: application/octet-stream; name=large.bin\r\nContent-Disposition: attachment; filename=large.bin\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n")
	line := make([]byte, 57)
	for g.left > 0 {
		n := min(g.left, len(line))
		if _, err := io.ReadFull(g.source, line[:n]); err != nil {
			return err
		}
		_, _ = g.hash.Write(line[:n])
		g.left -= n
		fmt.Fprint(b, base64.StdEncoding.EncodeToString(line[:n]), "\r\n")
	}
	fmt.Fprint(b, "--b--\r\n")
	return b.Flush()
}
