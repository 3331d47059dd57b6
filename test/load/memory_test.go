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
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

const (
	largeMessage = 140_000_000 // bytes of MIME
	mostMemory   = 64 << 10    // KiB that serve may take
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
	content := &generated{left: largeMessage / 78 * 57, source: rand.NewChaCha8([32]byte{1})}
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

// generated is a message whose attachment is generated while it is read.
type generated struct {
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
	fmt.Fprint(b, "From: <crm@contoso.test>\r\nTo: <anna@example.com>\r\nSubject: large\r\nMIME-Version: 1.0\r\n"+
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
