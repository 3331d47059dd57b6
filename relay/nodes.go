package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
)

// nodesInterval is how often a node looks at the others.
const nodesInterval = 15 * time.Second

// digest returns a short digest of what the nodes of a queue have to agree on: who may send from
// which mailbox with whose rights, how much, and what decides how mail is delivered and when it
// is given up. It leaves out what may differ from node to node: addresses, folders, files and the
// size of the machine. It has no secret in it.
func digest(cfg *config.Config) string {
	type connection struct {
		Name, Tenant, ClientID                         string
		SignIn                                         config.SignIn
		Endpoints                                      config.Endpoints
		Domains                                        []string
		Directory                                      config.Directory
		MailReadWrite, SentItems, WatchReports, Renews bool
		Uploads                                        config.Uploads
		MessageSize                                    config.Size
		DailyRecipients, DailyExternal                 int
	}
	type user struct {
		Name, Certificate, Connection string
		Senders                       []config.Pattern
		Recipients                    config.Recipients
	}
	type signature struct{ Name, HTML, Text string }
	var all struct {
		Connections []connection
		Users       []user
		Senders     []config.Sender
		Signatures  []signature
		Rates       config.Rates
		Delivery    config.Delivery
		Queue       config.Queue
	}
	for i := range cfg.Connections {
		c := &cfg.Connections[i]
		all.Connections = append(all.Connections, connection{c.Name, c.Tenant, c.ClientID, c.SignIn, c.Endpoints, c.Domains, c.Directory,
			c.MailReadWrite, c.SentItems, c.WatchReports, c.CertificateRenewal, c.Uploads, cfg.MessageSize(c), c.DailyRecipients, c.DailyExternal})
	}
	for _, u := range cfg.Users {
		all.Users = append(all.Users, user{u.Name, u.Certificate, u.Connection, u.Senders, u.Recipients})
	}
	for _, s := range cfg.Signatures {
		all.Signatures = append(all.Signatures, signature{s.Name, s.HTML, s.Text})
	}
	all.Senders, all.Rates, all.Delivery, all.Queue = cfg.Senders, cfg.Rates, cfg.Delivery, cfg.Queue
	all.Delivery.Concurrency, all.Delivery.Memory = 0, 0
	q := &all.Queue
	q.URL, q.URLFile, q.URLEnv, q.Node, q.MinFreeSpace = config.Secret{}, "", "", "", 0
	data, err := json.Marshal(all)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:4])
}

// differing knows whether the nodes of the queue differ in what they have to agree on.
type differing struct{ is atomic.Bool }

// look reads what the nodes tell, and logs a change.
func (d *differing) look(ctx context.Context, q queue.Inspector, now time.Time, log *slog.Logger) {
	list, err := q.Nodes(ctx)
	if err != nil {
		return // the queue is away, which others report
	}
	differ := queue.ConfigsDiffer(list, now)
	switch was := d.is.Swap(differ); {
	case differ && !was:
		log.Warn("the relays on this queue have configurations that differ in what they should agree on; graphrelay nodes shows which")
	case was && !differ:
		log.Info("the configurations of the relays on this queue agree again")
	}
}

// notices returns a line for /readyz.
func (d *differing) notices() []string {
	if !d.is.Load() {
		return nil
	}
	return []string{"nodes: the relays on this queue have configurations that differ; graphrelay nodes shows which"}
}

// serves reports whether this node can deliver for a lane: it has the connection and, where the
// credential is not the configuration's, the credential.
func (g *generation) serves(l queue.Lane) bool {
	c := g.cfg.ConnectionOf("", l.Connection)
	switch {
	case c == nil:
		return false
	case c.SignIn == config.SignInPassThrough, c.SignIn == config.SignInDelegated:
		return g.private(l)
	}
	return l.Principal == ""
}

// private reports whether this node has a credential for a lane that others may not have: that
// of a client that signed in here, or of a mailbox that was connected here.
func (g *generation) private(l queue.Lane) bool {
	if l.Principal != "" {
		return g.principals.Client(l) != nil
	}
	return g.connected.has(l, g.mailboxes)
}

// connected remembers for a moment which mailboxes are connected: it is asked at each claim.
type connected struct {
	mu    sync.Mutex
	read  time.Time
	lanes map[queue.Lane]bool
}

func (c *connected) has(l queue.Lane, store *mailboxes.Store) bool {
	if store == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) >= releaseInterval {
		c.read = time.Now()
		if list, err := store.List(context.Background()); err == nil { // else those before
			c.lanes = map[queue.Lane]bool{}
			for _, m := range list {
				if m.Refused == "" {
					c.lanes[queue.Lane{Connection: m.Connection, Mailbox: m.Address}] = true
				}
			}
		}
	}
	return c.lanes[queue.Lane{Connection: l.Connection, Mailbox: l.Mailbox}]
}
