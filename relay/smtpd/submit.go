package smtpd

import (
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"

	"graphrelay/internal/text"
	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// Submission is a message that does not come in an SMTP session, as one in a file.
type Submission struct {
	Client  netip.Addr // that it counts as, to the Policy
	Source  string     // where it comes from, for its Received field
	From    string     // empty for the null reverse-path
	To      []string
	Message io.Reader // with CRLF or LF
	Size    int64     // about
	// Claim is called with the queue ID that the message will have, before it is in the queue. If
	// it fails, the message does not get there.
	Claim func(id string) error
}

// Submit puts a message into the queue as a session would: by the same rules, with the same
// limits, metrics and lines in the log. After an error nothing of the message is in the queue. One
// that is or wraps a *Refusal of 5xx is for good; after any other the message may be submitted
// again.
func (s *Server) Submit(m Submission) (id string, err error) {
	c := newConn(nil, s)
	c.client = m.Client
	session := s.begin(c, "")
	session.source, session.claim = m.Source, m.Claim
	defer session.Reset()
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, string(debug.Stack()), "source", m.Source)
			id, err = "", fmt.Errorf("panic: %v", v)
		}
	}()
	if err := session.envelope(m); err != nil {
		return "", err
	}
	b := newBody(s.cfg, m.Message.Read, nil)
	id, err = session.data(b)
	b.finish()
	return id, err
}

// Refuse counts and remembers that a submission from the client was refused before it could be made,
// since there was something wrong with what it would have been made from.
func (s *Server) Refuse(client netip.Addr, text string) {
	s.rejected(refusals.Refusal{Client: client, Reason: reason.Content, Text: printable(text)})
}

// envelope takes the envelope of a submission, all of it or none.
func (s *session) envelope(m Submission) error {
	addresses := append(slices.Clone(m.To), m.From)
	utf8 := slices.ContainsFunc(addresses, func(a string) bool { return !text.IsASCII(a) })
	if most := s.server.cfg.Message.Bytes; m.Size > most {
		return s.refused("MAIL", tooLarge(most), refusals.Refusal{From: m.From})
	}
	from, quoted := unquoted(m.From)
	if err := s.mail(from, mailOptions{size: m.Size, utf8: utf8, quoted: strings.ContainsFunc(quoted, needsQuotes)}); err != nil {
		return err
	}
	if most := s.server.cfg.Message.Recipients; len(m.To) > most {
		return s.refused("RCPT", &Refusal{554, [3]int{5, 5, 3}, reason.Recipient,
			fmt.Sprintf("The message has %d recipients; this relay takes %d at most, so send it in parts", len(m.To), most)}, refusals.Refusal{From: m.From})
	}
	for _, to := range m.To {
		to, quoted := unquoted(to)
		if err := s.rcpt(to, rcptOptions{quoted: quoted}); err != nil {
			return err
		}
	}
	return nil
}

// unquoted returns an address without the quotes of its local part, and that if it had any, as
// go-smtp does of those in commands.
func unquoted(address string) (bare, quoted string) {
	quoted = quotedLocal("RCPT TO:<" + address + ">")
	if at := strings.LastIndexByte(address, '@'); quoted != "" && at >= 0 {
		return quoted + address[at:], quoted
	}
	return address, quoted
}
