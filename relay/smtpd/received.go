package smtpd

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"graphrelay/relay/queue"
)

// received returns the trace field of RFC 5321 section 4.4. It names the recipient only if
// there is just one, so that it does not reveal Bcc recipients.
func (s *session) received(id string, env queue.Envelope, who Identity) string {
	var b strings.Builder
	if s.source != "" {
		fmt.Fprintf(&b, "Received: by %s (graphrelay, from %s) id %s", token(s.server.cfg.Hostname), s.source, id)
	} else {
		fmt.Fprintf(&b, "Received: from %s ([%s])\r\n\tby %s (graphrelay) with %s id %s", token(s.helo), literal(s.conn.client),
			token(s.server.cfg.Hostname), s.protocol(env, who), id)
	}
	if len(env.To) == 1 {
		fmt.Fprintf(&b, "\r\n\tfor <%s>", env.To[0])
	}
	if t := s.conn.tls; t != nil {
		fmt.Fprintf(&b, "\r\n\t(%s %s)", tls.VersionName(t.Version), tls.CipherSuiteName(t.CipherSuite))
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", time.Now().Format(time.RFC1123Z))
	return b.String()
}

// reception returns what is recorded of how the message came.
func (s *session) reception() queue.Reception {
	r := queue.Reception{HELO: token(s.helo), Took: time.Since(s.conn.since).Round(time.Microsecond)}
	if t := s.conn.tls; t != nil {
		r.TLS, r.Cipher = tls.VersionName(t.Version), tls.CipherSuiteName(t.CipherSuite)
	}
	return r
}

// protocol returns the "with" keyword of RFC 3848 and RFC 6531.
func (s *session) protocol(env queue.Envelope, who Identity) string {
	p := "ESMTP"
	if env.UTF8 {
		p = "UTF8SMTP"
	}
	if s.conn.tls != nil {
		p += "S"
	}
	if who.User != "" {
		p += "A"
	}
	return p
}

// token replaces the characters of a name that a Received field cannot hold.
func token(s string) string {
	ok := func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune("()<>;,\"\\", r) {
			return r
		}
		return '?'
	}
	if len(s) > maxDomain {
		s = s[:maxDomain]
	}
	return strings.Map(ok, s)
}

// header is an io.Writer that keeps the beginning of a message up to the end of its
// header, and at most max bytes. Empty lines at the beginning do not end it, since those who read
// the message pass over them.
type header struct {
	max  int
	held *held // what buf counts on; nil: nothing
	buf  []byte
	lead int // bytes of the empty lines at the beginning
	done bool
}

func (h *header) Write(p []byte) (int, error) {
	if h.done {
		return len(p), nil
	}
	more := p[:min(len(p), h.max-len(h.buf))]
	if len(h.buf) == h.lead {
		h.lead += len(more) - len(bytes.TrimLeft(more, "\r\n"))
	}
	from := max(len(h.buf)-3, h.lead)
	skip := max(h.lead-len(h.buf), 0)
	if i := endOfHeader(more[skip:]); i >= 0 {
		more = more[:skip+i]
	}
	if err := h.grow(len(more)); err != nil {
		return 0, err
	}
	h.buf = append(h.buf, more...)
	if i := endOfHeader(h.buf[from:]); i >= 0 {
		h.buf = h.buf[:from+i]
		h.done = true
	}
	h.done = h.done || len(h.buf) >= h.max
	return len(p), nil
}

// grow makes room for n more bytes.
func (h *header) grow(n int) error {
	if len(h.buf)+n <= cap(h.buf) {
		return nil
	}
	size := min(max(2*cap(h.buf), len(h.buf)+n), h.max)
	if h.held != nil && !h.held.add(size-cap(h.buf)) {
		return errNoMemory
	}
	h.buf = append(make([]byte, 0, size), h.buf...)
	return nil
}

// endOfHeader returns the offset after the first empty line, with CRLF or LF.
func endOfHeader(p []byte) int {
	end := -1
	for _, mark := range []string{"\n\r\n", "\n\n"} {
		if i := bytes.Index(p, []byte(mark)); i >= 0 {
			end = i + len(mark)
			p = p[:end]
		}
	}
	return end
}

func (h *header) bytes() []byte { return h.buf }
