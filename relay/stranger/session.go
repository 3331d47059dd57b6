package stranger

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"graphrelay/internal/smtpclient"
	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

const helloName = "stranger.example"

// anyTLS accepts any certificate and any version, since a stranger would.
var anyTLS = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}

func dial(ctx context.Context, way route) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(way.from)}
	c, err := d.DialContext(ctx, "tcp", way.to.String())
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// greet begins a session and goes as far as a client does before MAIL.
func greet(conn net.Conn, l config.Listener, way route) (*smtpclient.Session, error) {
	if way.header {
		family := "TCP4"
		if way.client.Is6() {
			family = "TCP6"
		}
		fmt.Fprintf(conn, "PROXY %s %s %s 40000 %d\r\n", family, way.client, way.to.Addr(), way.to.Port())
	}
	s := smtpclient.New(conn)
	var starttls *tls.Config
	switch l.TLS {
	case smtpd.TLSImplicit:
		s.Secure(anyTLS)
	case smtpd.TLSStart:
		starttls = anyTLS
	}
	_, err := s.Greet(helloName, starttls)
	return s, err
}

// envelope tries a sender and a recipient, and takes them back. It returns the last answer, and
// whether it is a positive one.
func envelope(s *smtpclient.Session, from, to string) (answer string, ok bool) {
	defer func() { _, _ = s.Ask(2, "RSET") }()
	answer, err := s.Ask(2, "MAIL FROM:<"+from+">")
	if err == nil {
		answer, err = s.Ask(2, "RCPT TO:<"+to+">")
	}
	if err != nil {
		return err.Error(), false
	}
	return answer, true
}
