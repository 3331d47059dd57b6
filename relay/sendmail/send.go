package sendmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"graphrelay/internal/text"
)

// envelope is what the relay is told of a message.
type envelope struct {
	from    string
	to      []string
	notify  []string
	ret, id string // of RFC 3461
}

const (
	dialTimeout = 30 * time.Second
	dataTimeout = 30 * time.Minute // the relay itself gives a client as long by default
	quitTimeout = 5 * time.Second
)

// maxAnswer is how many bytes of an answer are shown.
const maxAnswer = 500

// dial connects to the first server that answers.
func dial(ctx context.Context, s *settings) (net.Conn, error) {
	var err error
	for _, server := range s.servers {
		var conn net.Conn
		d := net.Dialer{Timeout: dialTimeout}
		if conn, err = d.DialContext(ctx, "tcp", server); err == nil {
			return conn, nil
		}
	}
	return nil, failf(TempFail, "the relay cannot be reached at %s: %w; start it, or write its address as server into %s", strings.Join(s.servers, " or "), err, s.file)
}

// send hands the message to the relay and returns its answer. All recipients get it, or none.
func send(ctx context.Context, s *settings, e envelope, m *message) (answer string, err error) {
	conn, err := dial(ctx, s)
	if err != nil {
		return "", err
	}
	c := smtp.NewClient(conn)
	defer func() {
		c.CommandTimeout = quitTimeout
		_ = c.Quit()
		_ = c.Close()
	}()
	if err := c.Hello(hostName()); err != nil {
		return "", fault("the relay", err)
	}
	content, size := m.content()
	if most, ok := c.MaxMessageSize(); ok && most > 0 && size > int64(most) {
		return "", failf(DataErr, "the message is larger than the relay takes, %s; send smaller files, or a link to them", text.Size(int64(most)))
	}
	o := &smtp.MailOptions{Size: size, UTF8: needsUTF8(e), Return: smtp.DSNReturn(e.ret), EnvelopeID: e.id}
	if err := c.Mail(e.from, o); err != nil {
		return "", fault("the sender "+text.Printable(e.from), err)
	}
	for _, to := range e.to {
		o := &smtp.RcptOptions{}
		for _, n := range e.notify {
			o.Notify = append(o.Notify, smtp.DSNNotify(n))
		}
		if err := c.Rcpt(to, o); err != nil {
			return "", recipientFault(to, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return "", fault("the message", err)
	}
	_ = conn.SetDeadline(time.Now().Add(dataTimeout))
	if _, err := io.Copy(w, content); err != nil {
		return "", fault("the message", err)
	}
	got, err := w.CloseWithResponse()
	if err != nil {
		return "", fault("the message", err)
	}
	return text.Shorten(text.OneLine(got.StatusText), maxAnswer), nil
}

// needsUTF8 reports whether a message has to be sent with SMTPUTF8 (RFC 6531).
func needsUTF8(e envelope) bool {
	return !text.IsASCII(e.from) || slices.ContainsFunc(e.to, func(to string) bool { return !text.IsASCII(to) })
}

func recipientFault(to string, err error) error {
	err = fault("the recipient "+text.Printable(to), err)
	var e *Error
	if errors.As(err, &e) && e.Status != TempFail {
		e.Status = NoUser
	}
	return err
}

// fault returns the error for what the relay has refused, or for a session that broke.
func fault(what string, err error) error {
	var answer *smtp.SMTPError
	if !errors.As(err, &answer) {
		return failf(TempFail, "the session with the relay broke: %s", text.Shorten(text.OneLine(err.Error()), maxAnswer))
	}
	status := DataErr
	switch {
	case answer.Code/100 != 5:
		status = TempFail
	case answer.Code == 530 || answer.EnhancedCode[0] == 5 && answer.EnhancedCode[1] == 7:
		status = NoPerm
	}
	code := fmt.Sprint(answer.Code)
	if e := answer.EnhancedCode; e != (smtp.EnhancedCode{}) {
		code += fmt.Sprintf(" %d.%d.%d", e[0], e[1], e[2])
	}
	return failf(status, "%s is refused: %s %s", what, code, text.Shorten(text.OneLine(answer.Message), maxAnswer))
}

// bridge connects the caller's SMTP session with the relay (-bs).
func bridge(ctx context.Context, s *settings, in io.Reader, out io.Writer) error {
	conn, err := dial(ctx, s)
	if err != nil {
		_, _ = io.WriteString(out, "421 4.3.2 The relay cannot be reached; try again later\r\n")
		return err
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, in)
		if c, ok := conn.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
	}()
	if _, err := io.Copy(out, conn); err != nil {
		return failf(TempFail, "the session with the relay broke: %w", err)
	}
	return nil
}
