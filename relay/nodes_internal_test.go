package relay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
)

func nodeConfig() *config.Config {
	c := config.Default()
	c.Connections = []config.Connection{{Name: "main", Tenant: "contoso.test", ClientID: "app", Domains: []string{"contoso.test"}, Certificate: &tls.Certificate{}}}
	c.Users = []config.User{{Name: "crm"}}
	c.Senders = []config.Sender{{Mailbox: "a@contoso.test"}}
	c.Signatures = []config.Signature{{Name: "sales", Text: "Sales"}}
	return c
}

// The digest is another one where nodes differ in what matters, and not where they may differ.
func TestDigest(t *testing.T) {
	pattern, err := config.ParsePattern("*@contoso.test")
	if err != nil {
		t.Fatal(err)
	}
	want := digest(nodeConfig())
	for name, change := range map[string]func(*config.Config){
		"client":     func(c *config.Config) { c.Connections[0].ClientID = "other" },
		"domain":     func(c *config.Config) { c.Connections[0].Domains = nil },
		"sent items": func(c *config.Config) { c.Connections[0].SentItems = true },
		"connection": func(c *config.Config) { c.Connections = append(c.Connections, config.Connection{Name: "other"}) },
		"delivery":   func(c *config.Config) { c.Delivery.RedirectAll = "a@contoso.test" },
		"pace":       func(c *config.Config) { c.Delivery.MailboxPace = 3 },
		"user":       func(c *config.Config) { c.Users[0].Senders = []config.Pattern{pattern} },
		"sender":     func(c *config.Config) { c.Senders[0].Match = pattern },
		"signature":  func(c *config.Config) { c.Signatures[0].Text = "other" },
		"rates":      func(c *config.Config) { c.Rates.User.Messages = 3 },
		"retention":  func(c *config.Config) { c.Queue.KeepSent++ },
	} {
		c := nodeConfig()
		change(c)
		if digest(c) == want {
			t.Errorf("%s does not change the digest", name)
		}
	}
	for name, change := range map[string]func(*config.Config){
		"host":     func(c *config.Config) { c.Hostname = "other" },
		"data_dir": func(c *config.Config) { c.DataDir = "other" },
		"listener": func(c *config.Config) { c.Listeners = append(c.Listeners, config.Listener{Name: "other"}) },
		"node":     func(c *config.Config) { c.Queue.Node = "other" },
		"url":      func(c *config.Config) { c.Queue.URL, c.Queue.URLEnv = config.NewSecret("other"), "OTHER" },
		"secret":   func(c *config.Config) { c.Connections[0].ClientSecret = config.NewSecret("other") },
		"certificate": func(c *config.Config) {
			c.Connections[0].CertificateDirectory, c.Connections[0].Certificate = "other", nil
		},
		"proxy":       func(c *config.Config) { c.Connections[0].Proxy, c.Connections[0].CAFile = "other", "other" },
		"hash":        func(c *config.Config) { c.Users[0].PasswordHash = config.NewSecret("other") },
		"concurrency": func(c *config.Config) { c.Delivery.Concurrency++ },
		"memory":      func(c *config.Config) { c.Delivery.Memory++ },
		"log":         func(c *config.Config) { c.Log.Level = config.LevelDebug },
	} {
		c := nodeConfig()
		change(c)
		if digest(c) != want {
			t.Errorf("%s changes the digest", name)
		}
	}
}

// nodeList is an Inspector that knows nodes alone.
type nodeList struct {
	queue.Inspector
	list []queue.NodeStatus
}

func (n *nodeList) Nodes(context.Context) ([]queue.NodeStatus, error) { return n.list, nil }

// Nodes that differ are reported once, and while they do in /readyz.
func TestDiffering(t *testing.T) {
	now := time.Now()
	node := func(version, config string, lease time.Duration) queue.NodeStatus {
		return queue.NodeStatus{Node: queue.Node{Lease: now.Add(lease), About: queue.About{Version: version, Config: config}}}
	}
	agree := []queue.NodeStatus{node("1", "a", time.Minute), node("1", "a", time.Minute), node("1", "dead", -time.Minute), node("2", "b", time.Minute)}
	differ := append(agree, node("2", "c", time.Minute))
	var log testlog.Buffer
	var q nodeList
	var d differing
	for _, c := range []struct {
		list    []queue.NodeStatus
		lines   int // in the log, in all
		notices int
	}{{agree, 0, 0}, {differ, 1, 1}, {differ, 1, 1}, {agree, 2, 0}, {agree, 2, 0}, {differ, 3, 1}} {
		q.list = c.list
		d.look(t.Context(), &q, now, slog.New(slog.NewTextHandler(&log, nil)))
		if lines := strings.Count(log.String(), "\n"); lines != c.lines || len(d.notices()) != c.notices {
			t.Errorf("%d lines in the log, want %d; notices %q", lines, c.lines, d.notices())
		}
	}
}

// A node serves what it has a credential for.
func TestServes(t *testing.T) {
	cfg := nodeConfig()
	cfg.Connections = append(cfg.Connections, config.Connection{Name: "owners", SignIn: config.SignInDelegated}, config.Connection{Name: "pass", SignIn: config.SignInPassThrough})
	keys, err := mailboxes.NewKeys([][]byte{make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := mailboxes.Open(t.Context(), t.TempDir(), keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Connect(t.Context(), "owners", "anna@contoso.test", "", "token"); err != nil {
		t.Fatal(err)
	}
	g := &generation{cfg: cfg, mailboxes: store, principals: connection.NewPrincipals()}
	for lane, want := range map[string]bool{
		"main/x@contoso.test": true, "gone/x@contoso.test": false, "owners/anna@contoso.test": true, "owners/x@contoso.test": false,
		"pass+app/x@contoso.test": false, "pass/x@contoso.test": false, "main+app/x@contoso.test": false,
	} {
		if got := g.serves(queue.ParseLane(lane)); got != want {
			t.Errorf("serves %s: %t", lane, got)
		}
	}
	if g.private(queue.ParseLane("main/x@contoso.test")) || !g.private(queue.ParseLane("owners/anna@contoso.test")) {
		t.Error("takes for its own what is not, or the other way round")
	}
}
