package harness

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// Dialog is an SMTP client that returns every answer and can break off anywhere.
type Dialog struct {
	*textproto.Conn
	TCP *net.TCPConn
	TLS *tls.Conn // nil without TLS
}

// Dial connects to a listener, up to the point where MAIL may follow. Unless the listener
// is devices, it uses TLS and signs in as CRMUser.
func (r *Relay) Dial(listener string) (*Dialog, error) {
	d, err := r.DialOnly(listener)
	if err != nil {
		return nil, err
	}
	if listener != "devices" {
		if _, err := d.Ask(235, "AUTH PLAIN %s", PlainResponse(CRMUser, CRMPassword)); err != nil {
			_ = d.Close()
			return nil, err
		}
	}
	return d, nil
}

// DialOnly is Dial without signing in.
func (r *Relay) DialOnly(listener string) (*Dialog, error) {
	d, err := DialAddress(r.Address[listener], listener == "submissions")
	if err != nil || listener != "submission" {
		return d, err
	}
	if err := d.startTLS(); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// DialAddress connects to any server and sends EHLO.
func DialAddress(address string, implicitTLS bool) (*Dialog, error) {
	nc, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return startDialog(nc.(*net.TCPConn), implicitTLS)
}

// NewDialog starts a dialog over a connection and sends EHLO.
func NewDialog(nc *net.TCPConn) (*Dialog, error) { return startDialog(nc, false) }

func startDialog(nc *net.TCPConn, implicitTLS bool) (d *Dialog, err error) {
	d = &Dialog{TCP: nc, Conn: textproto.NewConn(nc)}
	if implicitTLS {
		d.secure()
	}
	if err = nc.SetDeadline(time.Now().Add(Guard)); err == nil {
		_, _, err = d.ReadResponse(220)
	}
	if err == nil {
		_, err = d.Ask(250, "EHLO client.test")
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return d, nil
}

func (d *Dialog) startTLS() error {
	if _, err := d.Ask(220, "STARTTLS"); err != nil {
		return err
	}
	d.secure()
	_, err := d.Ask(250, "EHLO client.test")
	return err
}

func (d *Dialog) secure() {
	d.TLS = tls.Client(d.TCP, ClientTLS())
	d.Conn = textproto.NewConn(d.TLS)
}

// PlainResponse returns the argument of AUTH PLAIN (RFC 4616).
func PlainResponse(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

// Ask sends a command and returns the text of the answer. It is an error if the answer's
// code does not begin with code.
func (d *Dialog) Ask(code int, format string, args ...any) (string, error) {
	if err := d.PrintfLine(format, args...); err != nil {
		return "", err
	}
	_, text, err := d.ReadResponse(code)
	return text, err
}

// Answer sends a command and returns the whole answer, code included, or the text of the
// error.
func (d *Dialog) Answer(format string, args ...any) string {
	if err := d.PrintfLine(format, args...); err != nil {
		return err.Error()
	}
	return d.Next()
}

// Next reads one answer and returns it as Answer does.
func (d *Dialog) Next() string {
	code, text, err := d.ReadResponse(0)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%03d %s", code, text)
}

// Envelope sends MAIL and RCPT.
func (d *Dialog) Envelope(from string, to ...string) error {
	if _, err := d.Ask(250, "MAIL FROM:<%s>", from); err != nil {
		return err
	}
	for _, a := range to {
		if _, err := d.Ask(250, "RCPT TO:<%s>", a); err != nil {
			return err
		}
	}
	return nil
}

// send sends one message and returns the server's answer to it.
func (d *Dialog) send(from string, to []string, message io.Reader) (answer string, err error) {
	if err := d.Envelope(from, to...); err != nil {
		return "", err
	}
	if _, err := d.Ask(354, "DATA"); err != nil {
		return "", err
	}
	w := d.DotWriter()
	if _, err := io.Copy(w, message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	_, answer, err = d.ReadResponse(250)
	return answer, err
}

// Submit sends one message to a relay and returns the queue ID.
func (d *Dialog) Submit(from string, to []string, message io.Reader) (id string, err error) {
	answer, err := d.send(from, to, message)
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(answer, "2.0.0 queued as ")
	if !ok {
		return "", fmt.Errorf("the answer to the message is %q", answer)
	}
	return id, nil
}

// Script runs a dialog: it sends each line that begins with "> ", and for every other
// line reads an answer, which must begin with that line.
func (d *Dialog) Script(t *testing.T, script string) {
	t.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if command, ok := strings.CutPrefix(line, "> "); ok {
			if err := d.PrintfLine("%s", command); err != nil {
				t.Fatal(err)
			}
		} else if got := d.Next(); !strings.HasPrefix(got, line) {
			t.Fatalf("%s\nanswered %q, want %q", script, got, line)
		}
	}
}

// Body sends the message after DATA byte for byte, and expects it to be queued.
func (d *Dialog) Body(t *testing.T, raw string) {
	t.Helper()
	if _, err := d.W.WriteString(raw + "\r\n.\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := d.W.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := d.Next(); !strings.HasPrefix(got, "250 2.0.0 queued as ") {
		t.Fatalf("answered %q", got)
	}
}

// DialFrom is DialAddress from one of this machine's addresses.
func DialFrom(from, to string) (*Dialog, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	nc, err := dialer.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	return startDialog(nc.(*net.TCPConn), false)
}
