package relay

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"graphrelay/internal/look"
	"graphrelay/relay/admin"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/smtpd"
)

// connectPage returns the page on which owners connect their mailboxes; nil if no
// connection is delegated.
func (g *generation) connectPage(q connection.HeldMail, key admin.ConnectKey) *admin.ConnectPage {
	if g.mailboxes == nil {
		return nil
	}
	k := mailboxes.NewConnector(g.cfg, g.mailboxes, g.log)
	p := &admin.ConnectPage{
		Connections: k.Connections(), BaseURL: g.cfg.Admin.BaseURL(), Log: g.log, Key: key,
		KeptSent: days(time.Duration(g.cfg.Queue.KeepSent)), KeptFailed: days(time.Duration(g.cfg.Queue.KeepFailed)),
		Begin: func(connection, mailbox string, shared bool) (admin.SignIn, error) {
			return k.Begin(connection, mailbox, shared)
		},
		Connected: func() {
			if err := g.mailboxes.ReleaseConnected(context.Background(), q, g.log); err != nil {
				g.log.Error("cannot release the mail of connected mailboxes", "error", err)
			}
		},
	}
	if keep := time.Duration(g.cfg.Queue.KeepSentContent); keep > 0 {
		p.KeptContent = days(keep)
	}
	for _, c := range g.cfg.Connections {
		if u, err := url.Parse(c.Endpoints.Login); err == nil && c.SignIn == config.SignInDelegated {
			p.Logins = append(p.Logins, u.Scheme+"://"+u.Host)
		}
	}
	for _, l := range g.cfg.Listeners {
		if l.Auth != smtpd.AuthNone {
			p.Submission = append(p.Submission, fmt.Sprintf("%s, port %s, encryption: %s", g.cfg.Hostname, l.Address[strings.LastIndexByte(l.Address, ':')+1:], encryption(l.TLS)))
		}
	}
	return p
}

// days returns a time for people, such as "30 days".
func days(d time.Duration) string {
	switch n := d / (24 * time.Hour); {
	case d%(24*time.Hour) != 0:
		return look.Duration(d)
	case n == 1:
		return "a day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}

// encryption returns what mail programs call a mode of TLS.
func encryption(mode smtpd.TLSMode) string {
	switch mode {
	case smtpd.TLSStart:
		return "STARTTLS"
	case smtpd.TLSImplicit:
		return "TLS (SSL)"
	}
	return "none"
}
