// Package smtpd is the SMTP edge: it accepts mail on one listener, decides with
// a Policy who may send as whom, and streams the message into the queue.
//
// It promises that 250 after a body is given only for a message that is durable
// and whole, that a refusal leaves nothing behind, and that memory does not grow
// with a message's size. It never parses MIME and knows nothing of Graph.
package smtpd

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"graphrelay/relay/queue"
)

// Identity is what is known of a client.
type Identity struct {
	User     string // that it proved to be; empty without AUTH
	Listener string
	Client   netip.Addr
}

// Policy decides who may send as whom. An error of type *Refusal is told to the
// client as it stands; any other is a fault of ours and becomes a 451.
type Policy interface {
	// Authenticate answers nil, or a *Refusal for wrong credentials, the answer to
	// which it may delay until ctx is done.
	Authenticate(ctx context.Context, who Identity, user, password string) error
	// AuthenticateToken is Authenticate with a token in place of a password.
	AuthenticateToken(ctx context.Context, who Identity, user, token string) error
	// CertificateUser is the user whom a client's certificate signs in, "" if it is
	// nobody's. An authority of the listener has vouched for it (Config.TLSConfig).
	CertificateUser(cert *x509.Certificate) string
	// Sender checks MAIL FROM; from is empty for the null reverse-path. size is what
	// the client announced (RFC 1870), or 0.
	Sender(who Identity, from string, size int64) error
	// Recipient checks RCPT TO; taken counts those that the transaction has already.
	Recipient(who Identity, from, to string, taken int) error
	// Route decides by the envelope, the message's header and its size where the mail
	// goes. It fills in the entry's Lane, From, ReplyTo, Signature, Subject and MessageID.
	Route(who Identity, header []byte, size int64, e *queue.Entry) error
	// Admit counts a message that is about to be taken, or refuses it as one too
	// many. undo takes it off the count again.
	Admit(e *queue.Entry) (undo func(), err error)
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
	bodies    sync.WaitGroup // messages that are being taken, with BDAT beside their connection
}

// New makes a server; Serve starts it. Listeners may share limiter.
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

// Serve accepts connections on l until Shutdown; then it returns nil. It does so
// too when Shutdown came first: a stop may overtake a start.
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

// At a stop or a reload a client that is between messages has quitTime to go on
// or to say QUIT: one whose message was just taken would report a failure, and
// send it again, if it were cut off. New messages are taken for mailTime.
const (
	quitTime = 2 * time.Second
	mailTime = 10 * time.Second
)

// Shutdown stops accepting, lets messages that are arriving come to their end
// until ctx is done, and ends every session.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	if !s.stopping {
		s.stopping, s.stoppedAt = true, time.Now()
		s.stop()
	}
	l := s.listener
	s.mu.Unlock()
	// Not go-smtp's Shutdown: that one waits for connections without ever ending
	// one, and misses a listener which its Serve has not come to yet.
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
			_ = c.tcp.SetReadDeadline(time.Now().Add(quitTime)) // of the read under way; see nextDeadline
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

// sleep waits a moment after a failed accept; false when the server stops.
func (s *Server) sleep() bool {
	select {
	case <-s.running.Done():
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

func (s *Server) greeting() string { return s.cfg.Hostname + " ESMTP Service Ready" }

func soon() time.Time { return time.Now().Add(5 * time.Second) }
