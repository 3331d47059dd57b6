package smtpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"graphrelay/relay/refusals"
)

// This file and gosmtp_conn.go are the only ones that know go-smtp, which parses the
// commands and calls a session. The rest of the package sees a conn, which reads what the
// client sends and replies to it, and a session, whose methods return a *Refusal.
//
// Each piece here makes up for something that go-smtp v0.25.1 does. The test in brackets
// fails without it; after an upgrade of go-smtp, see whether the piece is still needed.
//
//   - Its STARTTLS puts TLS above the connection that it was given, which then would no
//     longer see the plain text. So TLS is negotiated before go-smtp has the connection, in
//     a dialog of our own (plaintext). go-smtp's greeting, and its reply to an EHLO that is
//     replayed, are suppressed (starttls.dialog, starttls-not-used.dialog).
//   - It allocates 13 KiB for a client that has sent nothing yet. So we greet the
//     client and wait for its first line before go-smtp has the connection
//     (TestSilentClientHasNoBuffers).
//   - It accepts a BDAT chunk that io.EOF cuts short, and with it a truncated message. So
//     within a transaction the end of the connection is another error
//     (TestTruncatedIsNeverMail), of the type whose code go-smtp sends (TestStalledBody).
//   - Its reader of DATA misses the end after CR CR LF, loses a CR after a dot, and refuses
//     a message of exactly SIZE bytes. So the session reads the body from the connection.
//     Until then go-smtp gets one line at a time, so that its buffer holds none of the body;
//     after it, the dot that go-smtp still waits for (TestSmugglingData). It gets chunks of
//     BDAT as they are (TestSmugglingBDAT). If it got more than the DATA command after all,
//     no body is read (TestBodyOutOfTurn).
//   - When BDAT is given up, it does not wait for Data to return, and takes the late result
//     for that of the next message. So Data does not return then (TestResetWithinBDAT).
//   - It answers the first chunk of BDAT before Data is called, in a goroutine of its own,
//     which then may find the next transaction or no session at all. So that answer waits
//     (FuzzSession).
//   - It allows a second MAIL in a transaction, without calling Reset, and keeps the
//     transaction before it if that MAIL is refused (second-mail.dialog).
//   - After QUIT, and after too many errors, it runs commands that the client has sent
//     already, without a session (TestPipelinedBehindTheEnd).
//   - It sends the code of an error only if its type is *smtp.SMTPError, and splits its
//     text into lines (TestQueueFaults, TestSMTPError). It makes a 454 of an error of
//     go-sasl, such as for a NUL in a user name, so that the client tries again for ever
//     (auth-order.dialog).
//   - It refuses a SIZE or a chunk that is too large without asking the session, with a text
//     that does not help (oversize.dialog), and bad base64 with a 454 (auth-order.dialog).
//   - It repeats the client's bytes in its replies (TestSMTPAllTheSame) and in what it logs
//     (TestServerLog).
//   - It writes replies line by line. The limits and the pieces above need whole ones
//     (TestReplies).
//   - Its Shutdown waits for connections without ending any, and misses a listener to which
//     Serve has not come yet. So it is not used (TestShutdownPastItsTime,
//     TestShutdownBeforeServe).

// maxCommand is the maximum length of a command line, without its end. Responses to AUTH
// challenges may be the longest (RFC 4954 section 4).
const maxCommand = 12288

// serveSMTP serves the connections that l accepts, each of which is a *smtpConn.
func (s *Server) serveSMTP(l net.Listener) error {
	g := smtp.NewServer(smtp.BackendFunc(s.newSession))
	g.Domain = s.cfg.Hostname
	g.MaxMessageBytes = s.cfg.Message.Bytes
	g.MaxRecipients = s.cfg.Message.Recipients
	g.MaxLineLength = maxCommand
	g.EnableSMTPUTF8 = true
	g.EnableDSN = true
	g.AllowInsecureAuth = true // go-smtp does not see our TLS: the session decides, see AuthMechanisms
	g.ErrorLog = serverLog{s.log, s}
	return g.Serve(l)
}

// serverLog logs go-smtp's own messages, which may quote the client. go-smtp recovers from
// panics of a session and of its own, closes the connection with a 421, and says so here.
type serverLog struct {
	log    *slog.Logger
	server *Server
}

func (l serverLog) Printf(format string, v ...any) {
	if strings.HasPrefix(format, "panic serving") && len(v) == 3 { // client, value, stack
		l.server.panicked(v[1], fmt.Sprintf("%s", v[2]), "peer", fmt.Sprint(v[0]))
		return
	}
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("smtp", "message", printable(fmt.Sprintf(format, v...)))
	}
}

func (l serverLog) Println(v ...any) { l.Printf("%v", v) }

// smtpError gives an error the only type whose code go-smtp sends: any other becomes a 451
// with the error's text, or after a message a 554.
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

// saslServer gives the syntax errors of go-sasl a permanent code.
type saslServer struct {
	session *session
	sasl.Server
}

func (s saslServer) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = s.Server.Next(response)
	var r *Refusal
	if err != nil && !errors.As(err, &r) {
		err = s.session.refused("AUTH", errSASLSyntax, refusals.Refusal{})
	}
	return challenge, done, smtpError(err)
}

// Mail implements smtp.Session.
func (s *smtpSession) Mail(from string, o *smtp.MailOptions) error {
	s.Reset() // go-smtp does not, before a second MAIL
	return smtpError(s.mail(from, mailOptions{size: o.Size, utf8: o.UTF8, ret: string(o.Return), envelopeID: o.EnvelopeID,
		quoted: s.conn.quoted != "" && strings.ContainsFunc(s.conn.quoted, needsQuotes)}))
}

// Rcpt implements smtp.Session.
func (s *smtpSession) Rcpt(to string, o *smtp.RcptOptions) error {
	options := rcptOptions{quoted: s.conn.quoted}
	if o != nil {
		options.originalType, options.original = string(o.OriginalRecipientType), o.OriginalRecipient
		for _, n := range o.Notify {
			options.notify = append(options.notify, string(n))
		}
	}
	return smtpError(s.rcpt(to, options))
}

// Reset implements smtp.Session.
func (s *smtpSession) Reset() {
	s.conn.endTransfer()
	s.session.Reset()
}

// Data implements smtp.Session. The body of DATA is read from the connection, past r; the
// chunks of BDAT come through r, which is a pipe.
func (s *smtpSession) Data(r io.Reader) error {
	pipe, chunks := r.(*io.PipeReader)
	var b *body
	switch {
	case chunks:
		b = newBody(s.server.cfg, chunkReader{pipe}.Read, nil)
		b.started = s.conn.transferStarted
	case s.conn.atBody():
		b = newBody(s.server.cfg, s.conn.conn.Read, s.conn.endBody)
	default:
		return smtpError(s.refused("DATA", errOutOfTurn, refusals.Refusal{}))
	}
	id, err := s.data(b)
	if !b.finish() && chunks {
		// BDAT was given up (RSET, EHLO, the end of the connection), and the next message
		// may have begun. For the same reason Data never returns before the last chunk.
		runtime.Goexit()
	}
	if err != nil {
		return smtpError(err)
	}
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "queued as " + id}
}

// chunkReader reads the chunks of BDAT. go-smtp ends them with ErrDataReset if no last one
// comes.
type chunkReader struct{ *io.PipeReader }

func (r chunkReader) Read(p []byte) (int, error) {
	n, err := r.PipeReader.Read(p)
	if err == smtp.ErrDataReset {
		err = errUnfinished
	}
	return n, err
}
