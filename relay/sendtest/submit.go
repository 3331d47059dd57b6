package sendtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

// listener returns the listener that takes a message from this machine: without a password if no
// user is given.
func (o Options) listener() (config.Listener, error) {
	var why error = errors.New("no listener takes mail from this machine")
	for _, l := range o.Config.Listeners {
		if o.Listener != "" && l.Name != o.Listener {
			continue
		}
		err := o.fits(l)
		if err == nil {
			return l, nil
		}
		why = fmt.Errorf("listener %s %w", l.Name, err)
	}
	if o.Listener != "" && !slices.ContainsFunc(o.Config.Listeners, func(l config.Listener) bool { return l.Name == o.Listener }) {
		return config.Listener{}, fmt.Errorf("no listener has the name %s; write a name from listeners", o.Listener)
	}
	return config.Listener{}, why
}

// fits returns why a listener does not take the message, or nil.
func (o Options) fits(l config.Listener) error {
	addr, err := netip.ParseAddrPort(target(l))
	if err != nil {
		return fmt.Errorf("has the address %s", l.Address)
	}
	switch {
	case l.PassThrough != "":
		return errors.New("takes clients with an Entra credential of their own alone; name another with --listener")
	case config.InNetworks(l.ProxyNetworks, addr.Addr()):
		return errors.New("takes this machine for a load balancer; name another with --listener")
	case len(l.Networks) > 0 && !config.InNetworks(l.Networks, addr.Addr()):
		return fmt.Errorf("does not have %s in its networks; add it, or name another with --listener", addr.Addr())
	case o.User == "" && l.Auth == smtpd.AuthRequired:
		return errors.New("asks for a password; give --user")
	case o.User != "" && l.Auth == smtpd.AuthNone:
		return errors.New("takes no password; leave out --user, or name another with --listener")
	}
	return nil
}

// target returns the address at which this machine reaches a listener.
func target(l config.Listener) string {
	host, port, _ := net.SplitHostPort(l.Address)
	switch host {
	case "", "0.0.0.0", "localhost":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// client is an SMTP session.
type client struct {
	conn net.Conn
	text *textproto.Conn
}

// submit sends the message and returns its ID in the queue.
func (o Options) submit(ctx context.Context, l config.Listener, s steps) (id string, err error) {
	password := ""
	if o.User != "" {
		if password, err = o.Password(); err != nil {
			return "", err
		}
	}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", target(l))
	if err != nil {
		return "", fmt.Errorf("listener %s: %w; is the relay running?", l.Name, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10*time.Minute + time.Duration(l.Wait))); err != nil {
		return "", err
	}
	c := &client{conn, textproto.NewConn(conn)}
	if err := c.hello(o.Config, l); err != nil {
		return "", fmt.Errorf("listener %s: %w", l.Name, err)
	}
	s.now("connected", fmt.Sprintf("listener %s at %s, TLS: %s", l.Name, target(l), l.TLS))
	if err := o.signIn(c, password, s); err != nil {
		return "", err
	}
	message := o.message()
	for _, step := range []struct {
		code    int
		command string
	}{{250, "MAIL FROM:<" + o.From + ">"}, {250, "RCPT TO:<" + o.To + ">"}, {354, "DATA"}} {
		if _, err := c.ask(step.code, step.command); err != nil {
			return "", fmt.Errorf("%s: %w", step.command, err)
		}
	}
	w := c.text.DotWriter()
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	answer, err := c.read(250)
	if err != nil {
		return "", fmt.Errorf("the message: %w", err)
	}
	s.now("accepted", answer)
	_, _ = c.ask(221, "QUIT")
	_, id, found := strings.Cut(answer, "queued as ")
	if id, _, _ = strings.Cut(id, " "); !found || id == "" {
		return "", fmt.Errorf("the answer %q names no queue ID; is that a graphrelay?", answer)
	}
	return id, nil
}

// hello goes through the session as far as a client does before it signs in.
func (c *client) hello(cfg *config.Config, l config.Listener) error {
	secure := func() error {
		t, err := clientTLS(cfg.CertificateOf(l), l)
		if err != nil {
			return err
		}
		c.conn = tls.Client(c.conn, t)
		c.text = textproto.NewConn(c.conn)
		return nil
	}
	if l.TLS == smtpd.TLSImplicit {
		if err := secure(); err != nil {
			return err
		}
	}
	if _, err := c.read(220); err != nil {
		return err
	}
	if _, err := c.ask(250, "EHLO localhost"); err != nil || l.TLS != smtpd.TLSStart {
		return err
	}
	if _, err := c.ask(220, "STARTTLS"); err != nil {
		return err
	}
	if err := secure(); err != nil {
		return err
	}
	_, err := c.ask(250, "EHLO localhost")
	return err
}

// clientTLS returns settings that trust the listener's own certificate and no other, whatever
// its names, since the message goes to this machine.
func clientTLS(files config.TLS, l config.Listener) (*tls.Config, error) {
	pair, err := config.LoadKeyPair(files)
	if err != nil {
		return nil, err
	}
	own := pair.Certificate[0]
	return &tls.Config{
		MinVersion:         l.TLSMin.Version(),
		InsecureSkipVerify: true, // VerifyPeerCertificate verifies
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 || !bytes.Equal(raw[0], own) {
				return errors.New("the listener presents another certificate than that of the configuration; reload the relay")
			}
			return nil
		},
	}, nil
}

// signIn signs in, if there is a user.
func (o Options) signIn(c *client, password string, s steps) error {
	if o.User == "" {
		return nil
	}
	response := base64.StdEncoding.EncodeToString([]byte("\x00" + o.User + "\x00" + password))
	if err := c.text.PrintfLine("AUTH PLAIN %s", response); err != nil {
		return err
	}
	if _, err := c.read(235); err != nil {
		return fmt.Errorf("sign in as %s: %w", o.User, err)
	}
	s.now("signed in", "as "+o.User)
	return nil
}

// message returns the message, with a file and a mark by which people find it.
func (o Options) message() []byte {
	mark := rand.Text()
	host := o.Config.Hostname
	return fmt.Appendf(nil, "From: <%s>\r\nTo: <%s>\r\nSubject: graphrelay send-test %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%[3]s\r\n\r\n"+
		"--%[3]s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThis is a test message of graphrelay send-test. The attached file has its mark.\r\n"+
		"--%[3]s\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=send-test.txt\r\n\r\n%[3]s\r\n--%[3]s--\r\n",
		o.From, o.To, mark, time.Now().Format(time.RFC1123Z), mark, host)
}

func (c *client) ask(code int, command string) (string, error) {
	if err := c.text.PrintfLine("%s", command); err != nil {
		return "", err
	}
	return c.read(code)
}

// read returns an answer, or an error with it if it has another code.
func (c *client) read(code int) (string, error) {
	got, lines, err := c.text.ReadResponse(code)
	answer := text.Shorten(text.OneLine(fmt.Sprintf("%d %s", got, lines)), 500)
	switch {
	case err == nil:
		return answer, nil
	case got == 0:
		return "", err
	}
	return "", errors.New(answer)
}

// ReadPassword returns the password in a file, without a line's end.
func ReadPassword(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%w; name a file with the user's password", err)
	}
	if data, err = text.Decode(data); err != nil {
		return "", fmt.Errorf("%s %w", path, err)
	}
	password := strings.TrimRight(string(data), "\r\n")
	if password == "" {
		return "", fmt.Errorf("%s is empty; write the user's password into it", path)
	}
	return password, nil
}
