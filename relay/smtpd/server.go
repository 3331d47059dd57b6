// Package smtpd is the SMTP edge. A Server accepts connections on one listener, asks a
// Policy who may send as whom, and streams messages into the queue.
//
// A message is answered with 250 only when it is whole and durable. A refused message
// leaves nothing behind. Memory does not grow with a message's size. The package never
// parses MIME and knows nothing of Graph.
//
// A connection passes through these layers:
//
//	listener     accepts it, checks networks, PROXY header and limits (connlimit.go),
//	             and does TLS (starttls.go)
//	conn         reads and writes with deadlines, and counts commands (limits.go)
//	smtpConn     gives go-smtp one command line at a time (gosmtp.go, gosmtp_conn.go)
//	go-smtp      parses commands, and calls
//	session      which asks Policy, reads the body (body.go), and writes to the queue
package smtpd

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"graphrelay/relay/queue"
)

// Identity identifies a client to a Policy.
type Identity struct {
	User     string // the authenticated user, or ""
	Listener string
	Client   netip.Addr
	Guest    *Guest // nil if the client's address is in Networks, or there are none
}

// Guest is a client whose address is not in Networks, and which Policy.Guest has let in. There
// is another one for each of its messages.
type Guest struct {
	Senders []string // of the message, which Policy.Route sets for Accepted
}

// Policy decides who may send as whom. The methods are called in the order of an SMTP
// session: Guest, authentication, Sender, Recipient for each recipient, Route, Inspect, Admit,
// Accepted. They may be called by many sessions at once.
//
// An error that is or wraps a *Refusal is sent to the client as it is. Any other error
// counts as a fault of the relay, is logged, and becomes a 451.
type Policy interface {
	// Guest reports whether a client may connect whose address is not in Networks. It cannot
	// authenticate. Its mail is for Sender and Route to judge.
	Guest(listener string, client netip.Addr) bool
	// Authenticate checks a user name and a password. For wrong credentials it returns
	// a *Refusal, and may wait before it does, but not longer than until ctx is done.
	Authenticate(ctx context.Context, who Identity, user, password string) error
	// AuthenticateToken is Authenticate with an OAuth 2.0 access token or another secret
	// that a client sends as a bearer token (RFC 7628), in place of a password.
	AuthenticateToken(ctx context.Context, who Identity, user, token string) error
	// CertificateUser returns the user that a client certificate authenticates, or "".
	// The certificate was verified by the rules of Config.TLS.
	CertificateUser(cert *x509.Certificate) string
	// Sender checks the sender of MAIL FROM, which is "" for the null reverse-path
	// (RFC 5321 section 4.5.5). size is the announced size of the message (RFC 1870), or 0.
	Sender(who Identity, from string, size int64) error
	// Recipient checks a recipient of RCPT TO. taken is the number of recipients that the
	// transaction has already.
	Recipient(who Identity, from, to string, taken int) error
	// Route decides from the envelope, the header of the message and its size which
	// mailbox sends it. It sets Lane, From, ReplyTo, Signature, Subject and MessageID of e.
	Route(who Identity, header []byte, size int64, e *queue.Entry) error
	// Inspect decides by what is in a message, which has its size and comes from view, once
	// Route has found its lane.
	Inspect(e *queue.Entry, size int64, view func(do func(message io.ReaderAt) error) error) error
	// Admit counts a message against the rates of its sender just before it is accepted,
	// or refuses it. undo reverses the count; it is called if the message is not accepted
	// after all.
	Admit(e *queue.Entry) (undo func(), err error)
	// Accepted is called when a guest's message has been accepted, before the client is told.
	Accepted(who Identity)
}

// Server serves one listener.
type Server struct {
	cfg     Config
	intake  queue.Intake
	policy  Policy
	limiter *ConnectionLimiter
	metrics *Metrics
	log     *slog.Logger

	logLimiter lineLimiter

	mu        sync.Mutex
	listener  *listener // nil before Serve
	connEnded *sync.Cond
	conns     map[*conn]struct{}
	stopping  bool
	running   context.Context // done when the server is stopping
	stop      context.CancelFunc
	stoppedAt time.Time      // set before life is done
	bodies    sync.WaitGroup // messages that are being received; with BDAT they may outlive their connection
}

// New returns a server, which Serve starts. Servers may share limiter and metrics.
func New(cfg Config, intake queue.Intake, policy Policy, limiter *ConnectionLimiter, metrics *Metrics, log *slog.Logger) *Server {
	s := &Server{
		cfg: cfg, intake: intake, policy: policy, limiter: limiter, metrics: metrics,
		log:   log.With("listener", cfg.Name),
		conns: map[*conn]struct{}{},
	}
	s.running, s.stop = context.WithCancel(context.Background())
	s.connEnded = sync.NewCond(&s.mu)
	return s
}

// Serve accepts connections on l until Shutdown is called, and then returns nil. If
// Shutdown was called before, it closes l and returns at once.
func (s *Server) Serve(l net.Listener) error {
	w := newListener(l, s)
	s.mu.Lock()
	s.listener = w
	stopping := s.stopping
	s.mu.Unlock()
	if stopping {
		return w.Close()
	}
	go w.run()
	err := s.serveSMTP(w)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// At a stop or a reload, a client that is between messages has quitTime to go on or to
// send QUIT. If it were disconnected right after its message was accepted, it might report
// a failure and send the message again. New messages are accepted for mailTime.
const (
	quitTime = 2 * time.Second
	mailTime = 10 * time.Second
)

// Shutdown stops accepting connections, waits for messages that are being received until
// ctx is done, and ends every session.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	if !s.stopping {
		s.stopping, s.stoppedAt = true, time.Now()
		s.stop()
	}
	l := s.listener
	s.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}

	wake := context.AfterFunc(ctx, s.wakeShutdown)
	defer wake()
	defer s.bodies.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if !c.inTransaction.Load() {
			_ = c.tcp.SetReadDeadline(time.Now().Add(quitTime)) // of the read in progress; see nextDeadline
		}
	}
	for len(s.conns) > 0 {
		if ctx.Err() != nil {
			for c := range s.conns {
				_ = c.tcp.Close() // its goroutine unregisters it
			}
		}
		s.connEnded.Wait()
	}
}

func (s *Server) wakeShutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connEnded.Broadcast()
}

func (s *Server) isStopping() bool { return s.running.Err() != nil }

// waitAfterError waits for a moment, and reports whether the server is still running.
func (s *Server) waitAfterError() bool {
	select {
	case <-s.running.Done():
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

func (s *Server) greeting() string { return s.cfg.Hostname + " ESMTP Service Ready" }
