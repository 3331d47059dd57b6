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
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/smtpclient"
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
	c := smtpclient.New(conn)
	defer c.Close()
	if err := conn.SetDeadline(time.Now().Add(10*time.Minute + time.Duration(l.Wait))); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	if err := hello(c, o.Config, l); err != nil {
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
		if _, err := c.Ask(step.code, step.command); err != nil {
			return "", fmt.Errorf("%s: %w", step.command, err)
		}
	}
	answer, err := c.Data(message)
	if err != nil {
		return "", fmt.Errorf("the message: %w", err)
	}
	s.now("accepted", answer)
	_, id, found := strings.Cut(answer, "queued as ")
	if id, _, _ = strings.Cut(id, " "); !found || id == "" {
		return "", fmt.Errorf("the answer %q names no queue ID; is that a graphrelay?", answer)
	}
	return id, nil
}

// hello goes through the session as far as a client does before it signs in.
func hello(c *smtpclient.Session, cfg *config.Config, l config.Listener) error {
	var starttls *tls.Config
	if l.TLS == smtpd.TLSImplicit || l.TLS == smtpd.TLSStart {
		t, err := clientTLS(cfg.CertificateOf(l), l)
		if err != nil {
			return err
		}
		if l.TLS == smtpd.TLSImplicit {
			c.Secure(t)
		} else {
			starttls = t
		}
	}
	_, err := c.Greet("localhost", starttls)
	return err
}

// clientTLS returns settings that trust the listener's own certificate and no other, whatever
// its names, since the message goes to this machine.
func clientTLS(from config.TLS, l config.Listener) (*tls.Config, error) {
	pair, err := config.LoadKeyPair(from, nil)
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
func (o Options) signIn(c *smtpclient.Session, password string, s steps) error {
	if o.User == "" {
		return nil
	}
	response := base64.StdEncoding.EncodeToString([]byte("\x00" + o.User + "\x00" + password))
	if _, err := c.Ask(235, "AUTH PLAIN "+response); err != nil {
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
