package smtpd

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"graphrelay/internal/mailaddr"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// session is the state of one client's SMTP session. With BDAT, data runs in a goroutine of
// its own; what it shares with the other methods is guarded by mu.
type session struct {
	server *Server
	conn   *conn
	helo   string
	log    *slog.Logger
	cert   string // the user of the client's certificate
	source string // of a Submission, and what it is claimed with; empty and nil in an SMTP session
	claim  func(id string) error

	mu           sync.Mutex
	who          Identity
	authRefused  bool // by the last AUTH
	mailAccepted bool
	env          queue.Envelope
	recipients   map[string]bool // by mailaddr.Canonical
	memory       held            // of the recipients
}

// begin returns the session of a client that has sent EHLO or HELO.
func (s *Server) begin(c *conn, helo string) *session {
	session := &session{
		server: s, conn: c, helo: helo, who: Identity{Listener: s.cfg.Name, Client: c.client},
		log: s.log.With("client", c.client.String()),
	}
	if c.guest {
		session.who.Guest = &Guest{}
	}
	session.memory = session.newHeld()
	session.readCertificate()
	c.session.Store(session)
	return session
}

// refused logs, counts and remembers a refusal of what the client named, and returns it.
func (s *session) refused(what string, err error, of refusals.Refusal) *Refusal {
	r := refusalOf(err)
	of.Client, of.Hello, of.User = s.conn.client, s.helo, s.conn.userName()
	of.Reason, of.Answer = r.Reason, r.Error()
	s.server.rejected(of)
	level := slog.LevelInfo
	if r.Reason == reason.Internal || r.Reason == reason.Storage || r.Reason == reason.Full {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "refused", append([]any{"command", what, "reason", r.Reason}, answerAndError(r, err)...)...)
	return r
}

// answerAndError returns the keys of the log for a refusal, and for what happened inside if
// that says more.
func answerAndError(r *Refusal, err error) []any {
	keys := []any{"answer", printable(r.Error())}
	if err.Error() != r.Error() {
		keys = append(keys, "error", printable(err.Error()))
	}
	return keys
}

// mailOptions are the parameters of MAIL.
type mailOptions struct {
	size            int64  // RFC 1870; 0: not given
	utf8            bool   // RFC 6531
	ret, envelopeID string // RFC 3461
	quoted          bool   // the local part needs its quotes (RFC 5321 section 4.1.2)
}

// rcptOptions are the parameters of RCPT (RFC 3461).
type rcptOptions struct {
	notify                 []string
	originalType, original string
	quoted                 string // the local part, if it was quoted
}

// mail handles MAIL FROM: it begins a transaction.
func (s *session) mail(from string, opts mailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.checkSender(from, opts)
	if err == nil {
		err = s.checkCapacity(opts.size, queue.Lane{})
	}
	if err != nil {
		return s.refused("MAIL", err, refusals.Refusal{From: from})
	}
	dsn, err := mailDSN(opts)
	if err != nil {
		return s.refused("MAIL", err, refusals.Refusal{From: from})
	}
	s.env = queue.Envelope{From: from, UTF8: opts.utf8, DSN: dsn}
	s.recipients = map[string]bool{}
	s.mailAccepted = true
	s.conn.inTransaction.Store(true)
	s.conn.idle.mark()
	return nil
}

func (s *session) checkSender(from string, opts mailOptions) error {
	if s.server.isStopping() && time.Since(s.server.stoppedAt) > mailTime {
		return errStopping
	}
	if s.server.cfg.Auth.Mode == AuthRequired && s.who.User == "" {
		text := "Authenticate first"
		if s.authRefused { // .NET continues without AUTH, and shows only this reply
			text = "Authenticate first: the user name or password that was sent is not accepted"
		}
		return &Refusal{530, [3]int{5, 7, 0}, reason.Auth, text}
	}
	if opts.quoted {
		return &Refusal{501, [3]int{5, 1, 7}, reason.Sender, "No mailbox of Microsoft 365 has an address whose local part needs quotes; send from another"}
	}
	if from != "" {
		if err := checkAddress(from, opts.utf8); err != nil {
			err.Reason, err.Enhanced[2] = reason.Sender, 7 // X.1.7 bad sender's mailbox address syntax
			return err
		}
	}
	return s.server.policy.Sender(s.who, from, opts.size)
}

// checkCapacity reports whether the queue has room for a message of the given size, 0 if
// that is unknown. It is called at MAIL, to save the client from sending the message in
// vain, and again after the data, when other messages may have come.
func (s *session) checkCapacity(size int64, lane queue.Lane) error {
	from := queue.Origin{User: s.who.User, Client: s.who.Client.String(), Lane: lane}
	return s.server.intake.CheckCapacity(context.Background(), size, s.server.cfg.Queue, from)
}

// rcpt handles RCPT TO: it adds a recipient to the transaction.
func (s *session) rcpt(to string, opts rcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mailAccepted {
		return s.refused("RCPT", errNoMail, refusals.Refusal{From: s.env.From, To: to})
	}
	given := to
	to, err := s.checkRecipient(to, opts.quoted)
	if err != nil {
		to = given
		return s.refused("RCPT", err, refusals.Refusal{From: s.env.From, To: to})
	}
	if err := checkDeliverable(to); err != nil {
		return s.refused("RCPT", err, refusals.Refusal{From: s.env.From, To: to})
	}
	dsn, asked, err := rcptDSN(opts)
	if err != nil {
		return s.refused("RCPT", err, refusals.Refusal{From: s.env.From, To: to})
	}
	s.conn.idle.mark()
	if key := mailaddr.Canonical(to); !s.recipients[key] {
		if err := s.server.policy.Recipient(s.who, s.env.From, to, len(s.env.To)); err != nil {
			return s.refused("RCPT", err, refusals.Refusal{From: s.env.From, To: to})
		}
		if !s.memory.add(recipientBytes + 4*len(to) + len(dsn.Original)) { // go-smtp and the map have it too
			return s.refused("RCPT", errNoMemory, refusals.Refusal{From: s.env.From, To: to})
		}
		s.recipients[key] = true
		s.env.To = append(s.env.To, to)
		if asked {
			s.askDSN(to, dsn)
		}
	}
	return nil
}

// recipientBytes is about what a recipient takes beside its address.
const recipientBytes = 200

// checkRecipient checks a recipient's syntax, and returns the address in the form in which it
// is stored.
func (s *session) checkRecipient(to, quoted string) (string, error) {
	if quoted == "" {
		if r := checkAddress(to, s.env.UTF8); r != nil {
			return "", r
		}
		return to, nil
	}
	address, r := checkQuoted(quoted, strings.TrimPrefix(to, quoted+"@"), s.env.UTF8)
	if r != nil {
		return "", r
	}
	return address, nil
}

func (s *session) askDSN(to string, dsn queue.RecipientDSN) {
	if s.env.DSN.Recipients == nil {
		s.env.DSN.Recipients = map[string]queue.RecipientDSN{}
	}
	s.env.DSN.Recipients[to] = dsn
}

// data handles the data of a message: it puts the message into the queue, and returns its
// queue ID.
func (s *session) data(b *body) (id string, err error) {
	start := time.Now()
	who, entry, ok := s.beginBody()
	if b.started != nil {
		b.started()
	}
	if !ok {
		return "", s.refused("DATA", errUnfinished, refusals.Refusal{}) // reset while a chunk was on its way
	}
	defer s.server.bodies.Done()
	id, size, err := s.accept(b, who, &entry)
	s.conn.counters.restart(err == nil)
	s.conn.idle.mark()
	s.server.metrics.seconds.WithLabelValues(s.server.cfg.Name).Observe(time.Since(start).Seconds())
	if s.server.cfg.Accepted != nil && id != "" {
		a := Acceptance{ID: id, Started: start, Size: size, Entry: entry}
		if err != nil {
			a.Refused = refusalOf(err).Reason
		}
		s.server.cfg.Accepted(a)
	}
	if err != nil {
		return "", s.refused("DATA", err, refusals.Refusal{From: entry.Envelope.From})
	}
	if who.Guest != nil {
		s.server.policy.Accepted(who)
	}
	s.conn.messages.Add(1)
	s.server.cfg.Refusals.Accepted(s.server.cfg.Name, who.Client)
	s.server.metrics.accepted.WithLabelValues(s.server.cfg.Name).Inc()
	s.server.metrics.bytes.WithLabelValues(s.server.cfg.Name).Observe(float64(size))
	s.log.Info("queued", "id", id, "from", printable(entry.Envelope.From), "recipients", len(entry.Envelope.To),
		"size", size, "lane", entry.Lane.String(), "user", printable(entry.User))
	return id, nil
}

// beginBody starts the clock of a message, until Reset. ok is false outside of a
// transaction with recipients.
func (s *session) beginBody() (who Identity, e queue.Entry, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mailAccepted || len(s.env.To) == 0 {
		return Identity{}, queue.Entry{}, false
	}
	s.server.bodies.Add(1)
	s.conn.clock.start(s.server.cfg.Message.Time, s.server.cfg.Message.MinRate, s.server.cfg.Timeout)
	s.conn.inBody.Store(true)
	who = s.who
	if who.Guest != nil {
		who.Guest = &Guest{}
	}
	return who, queue.Entry{
		Envelope: s.env, Listener: s.server.cfg.Name, User: s.who.User, Client: s.conn.client.String(),
	}, true
}

// accept puts the message into the queue. If it fails, nothing of the message remains.
func (s *session) accept(b *body, who Identity, entry *queue.Entry) (id string, size int64, err error) {
	ctx := context.Background() // the outcome must be known, whatever happens to the client
	w, err := s.server.intake.Create(ctx)
	if err != nil {
		return "", 0, err
	}
	defer func() {
		if err != nil {
			_ = w.Abort() // anything it leaves is removed at the next start
		}
	}()
	if s.claim != nil {
		if err := s.claim(w.ID()); err != nil {
			return "", 0, err
		}
	}
	if size, err = s.receive(w, b, who, entry); err != nil {
		return "", 0, err
	}
	if err := s.checkCapacity(0, entry.Lane); err != nil { // its size is on the disk already
		return "", 0, err
	}
	undo, err := s.server.policy.Admit(entry)
	if err != nil {
		return "", 0, err
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	entry.Reception = s.reception()
	if s.server.cfg.Verdict.Wait == 0 {
		return w.ID(), size, w.Commit(ctx, *entry)
	}
	return w.ID(), size, s.commitAndWait(ctx, w, *entry)
}

// receive streams the message into w, and has the policy decide where it goes.
func (s *session) receive(w queue.Writer, b *body, who Identity, entry *queue.Entry) (size int64, err error) {
	n, err := io.WriteString(w, s.received(w.ID(), entry.Envelope, who))
	if err != nil {
		return 0, err
	}
	entry.Trace = int64(n)
	memory := s.newHeld()
	defer memory.release()
	h := header{max: s.server.cfg.Message.HeaderBytes, held: &memory}
	size, err = b.copyTo(io.MultiWriter(w, &h), s.server.cfg.Message.Bytes)
	if err != nil {
		return 0, err
	}
	if err := s.checkLines(w.ID(), b.bare); err != nil {
		return 0, err
	}
	if err := s.server.policy.Route(who, h.bytes(), size, entry); err != nil {
		return 0, err
	}
	return size, s.server.policy.Inspect(entry, size, w.View)
}

// commitAndWait commits the message and waits for Graph's verdict, for which it returns a
// refusal. The message is durable by then. Without a verdict in time, or at a stop, the
// message counts as accepted.
func (s *session) commitAndWait(ctx context.Context, w queue.Writer, e queue.Entry) error {
	wait := s.server.cfg.Verdict.Source.Expect(w.ID())
	e.Wait = s.server.cfg.Verdict.Wait
	ctx, cancel := context.WithTimeout(ctx, s.server.cfg.Verdict.Wait)
	defer cancel()
	if err := w.Commit(ctx, e); err != nil {
		wait.Cancel()
		return err
	}
	go func() {
		select {
		case <-s.server.running.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	switch v := wait.Await(ctx); {
	case v.Refused:
		return verdictRefusal(w.ID(), v)
	case v.Unknown:
		return queue.ErrUnknown
	}
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() {
	s.mu.Lock()
	s.mailAccepted = false
	s.env = queue.Envelope{}
	s.recipients = nil
	s.memory.release()
	s.mu.Unlock()
	s.conn.inTransaction.Store(false)
	s.conn.clock.stop()
	s.conn.inBody.Store(false)
}

// Logout implements smtp.Session. No body can begin after it.
func (s *session) Logout() error {
	s.Reset()
	return nil
}
