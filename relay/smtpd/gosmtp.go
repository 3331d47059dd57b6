package smtpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// This file and gosmtp_conn.go are the only ones that know go-smtp, which parses the
// commands and calls the session. The rest of the package sees a conn that reads and
// replies, and a session whose methods return a *Refusal. Each piece here is there for
// one behaviour of go-smtp v0.25.1, and names the test that fails without it: after an
// upgrade of go-smtp, look whether the behaviour is still there.

// maxCommand is the longest line that is not a message's: of all, answers to AUTH
// challenges may be the longest (RFC 4954 section 4).
const maxCommand = 12288

// serveSMTP serves the connections that l accepts, each of which is a *smtpConn.
//
// It uses neither go-smtp's Shutdown, which waits for connections without ending any and
// misses a listener that Serve has not come to yet (TestShutdownBeforeServe), nor its
// TLSConfig: its STARTTLS would put TLS on top of the smtpConn, which then saw the
// plain text no longer.
func (s *Server) serveSMTP(l net.Listener) error {
	g := smtp.NewServer(smtp.BackendFunc(s.newSession))
	g.Domain = s.cfg.Hostname
	g.MaxMessageBytes = s.cfg.Message.Bytes
	g.MaxRecipients = s.cfg.Message.Recipients
	g.MaxLineLength = maxCommand
	g.EnableSMTPUTF8 = true
	g.EnableDSN = true
	g.AllowInsecureAuth = true // go-smtp does not see our TLS: the session decides, see AuthMechanisms
	g.ErrorLog = serverLog{s.log}
	return g.Serve(l)
}

// serverLog carries go-smtp's own messages, which may quote the client.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, v ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("smtp", "message", printable(fmt.Sprintf(format, v...)))
	}
}

func (l serverLog) Println(v ...any) { l.Printf("%v", v) }

// smtpError gives an error the only type whose code go-smtp sends: of any other it makes
// a 451 with the error's text, or a 554 after a message (TestQueueFaults).
func smtpError(err error) error {
	if err == nil {
		return nil
	}
	r := refusalOf(err)
	return &smtp.SMTPError{Code: r.Code, EnhancedCode: smtp.EnhancedCode(r.Enhanced), Message: printable(r.Text)}
}

// smtpSession is a session as go-smtp calls it. Reset and Logout, and with BDAT Data too,
// are called from goroutines of their own.
type smtpSession struct {
	*session
	conn *smtpConn
}

var _ smtp.AuthSession = (*smtpSession)(nil)

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	sc, ok := c.Conn().(*smtpConn)
	if !ok {
		return nil, fmt.Errorf("unexpected connection type %T", c.Conn())
	}
	return &smtpSession{s.begin(sc.conn, c.Hostname()), sc}, nil
}

// Auth implements smtp.AuthSession.
func (s *smtpSession) Auth(mechanism string) (sasl.Server, error) {
	server, err := s.session.auth(mechanism)
	return saslServer{s.session, server}, smtpError(err)
}

// saslServer gives go-sasl's errors of syntax a code, such as for a NUL in a user name:
// go-smtp would make them a 454, and the client would try again for ever (the dialog
// auth).
type saslServer struct {
	session *session
	sasl.Server
}

func (s saslServer) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = s.Server.Next(response)
	var r *Refusal
	if err != nil && !errors.As(err, &r) {
		err = s.session.refused("AUTH", errSASLSyntax)
	}
	return challenge, done, smtpError(err)
}

// Mail implements smtp.Session. go-smtp lets a second MAIL through, without a Reset (the
// dialog order).
func (s *smtpSession) Mail(from string, o *smtp.MailOptions) error {
	s.Reset()
	return smtpError(s.mail(from, mailOptions{size: o.Size, utf8: o.UTF8, ret: string(o.Return), envelopeID: o.EnvelopeID}))
}

// Rcpt implements smtp.Session.
func (s *smtpSession) Rcpt(to string, o *smtp.RcptOptions) error {
	var options rcptOptions
	if o != nil {
		options.originalType, options.original = string(o.OriginalRecipientType), o.OriginalRecipient
		for _, n := range o.Notify {
			options.notify = append(options.notify, string(n))
		}
	}
	return smtpError(s.rcpt(to, options))
}

// Data implements smtp.Session. What is behind DATA is read from the connection, see
// smtpConn.atBody; the chunks of BDAT come through the pipe r.
func (s *smtpSession) Data(r io.Reader) error {
	pipe, chunks := r.(*io.PipeReader)
	var b *body
	switch {
	case chunks:
		b = newBody(s.server.cfg, chunkReader{pipe}.Read, nil)
	case s.conn.atBody():
		b = newBody(s.server.cfg, s.conn.conn.Read, s.conn.endBody)
	default:
		return smtpError(s.refused("DATA", errOutOfTurn))
	}
	id, err := s.data(b)
	if !b.finish() && chunks {
		// BDAT was given up (RSET, EHLO, a cut). go-smtp waits for no answer, and would
		// take it for that of the next message, which has begun by now perhaps. For the
		// same reason none is given before the last chunk, when go-smtp does wait
		// (TestResetWithinBDAT).
		runtime.Goexit()
	}
	if err != nil {
		return smtpError(err)
	}
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "queued as " + id}
}

// chunkReader reads the chunks of BDAT.
type chunkReader struct{ *io.PipeReader }

func (r chunkReader) Read(p []byte) (int, error) {
	n, err := r.PipeReader.Read(p)
	if err == smtp.ErrDataReset {
		err = errUnfinished
	}
	return n, err
}
