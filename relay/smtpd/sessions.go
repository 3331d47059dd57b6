package smtpd

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Session is a connection as an operator sees it.
type Session struct {
	Client   netip.Addr   `json:"client" doc:"The IP address of the client."`
	Since    time.Time    `json:"since" doc:"When it connected."`
	Hello    string       `json:"hello,omitempty" doc:"What the client called itself."`
	User     string       `json:"user,omitempty" doc:"The user who has signed in."`
	TLS      string       `json:"tls,omitempty" doc:"The version of TLS; empty without TLS."`
	State    SessionState `json:"state" doc:"What it does: connecting, idle, envelope or message."`
	Bytes    int64        `json:"bytes" doc:"How many bytes were received."` // received, before TLS as it came and then decrypted
	Messages int64        `json:"messages" doc:"How many messages were accepted."`
}

// SessionState is what a session does at the moment.
type SessionState string

// The states of a session, in their usual order.
const (
	SessionConnecting SessionState = "connecting" // no EHLO yet, or not repeated after STARTTLS
	SessionIdle       SessionState = "idle"       // between messages
	SessionEnvelope   SessionState = "envelope"   // MAIL was accepted
	SessionMessage    SessionState = "message"    // its data is coming, or is being stored
)

// seen is what Sessions shows of a connection, beside what the connection needs itself. It is
// written by the goroutine of the connection and read by others.
type seen struct {
	since    time.Time // does not change
	session  atomic.Pointer[session]
	user     atomic.Pointer[string]
	bytes    atomic.Int64
	messages atomic.Int64
}

// userName returns the user who has signed in, or "".
func (s *seen) userName() string {
	if user := s.user.Load(); user != nil {
		return *user
	}
	return ""
}

// Sessions returns how many connections are open, and of these the oldest ones, at most limit.
func (s *Server) Sessions(limit int) (list []Session, total int) {
	s.mu.Lock()
	for c := range s.conns {
		list = append(list, c.describe())
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b Session) int { return a.Since.Compare(b.Since) })
	return list[:min(limit, len(list))], len(list)
}

// describe is called with the server's lock held.
func (c *conn) describe() Session {
	d := Session{Client: c.client, Since: c.since, User: printable(c.userName()), State: SessionConnecting, Bytes: c.bytes.Load(), Messages: c.messages.Load()}
	session := c.session.Load()
	if session == nil {
		return d
	}
	d.Hello = printable(session.helo)
	if c.tls != nil {
		d.TLS = tls.VersionName(c.tls.Version)
	}
	switch {
	case c.inBody.Load():
		d.State = SessionMessage
	case c.inTransaction.Load():
		d.State = SessionEnvelope
	default:
		d.State = SessionIdle
	}
	return d
}
