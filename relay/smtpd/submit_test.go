package smtpd

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/testlog"
)

// TestSubmit submits messages without a session, by the rules of one.
func TestSubmit(t *testing.T) {
	var log testlog.Buffer
	q, registry := &fakeQueue{}, prometheus.NewRegistry()
	cfg := testConfig()
	cfg.Message.Bytes, cfg.Message.Recipients, cfg.Message.LineBytes = 1000, 2, 500
	limiter := NewConnectionLimiter(ConnectionLimits{Total: 1, PerAddress: 1, PerNetwork: 1, PerMinute: 1})
	s := New(cfg, q, fakePolicy{q}, limiter, NewMetrics(registry), slog.New(slog.NewTextHandler(&log, nil)))
	failed := errors.New("not claimed")
	for name, c := range map[string]struct {
		from, to, message string
		size              int64
		claim             error
		code              int // of the refusal; 0: there is none
	}{
		"accepted":         {"a@contoso.test", "b@example.test", "Subject: x\n\nbody", 0, nil, 0},
		"null sender":      {"", "b@example.test", "Subject: x\n\n", 0, nil, 0},
		"another sender":   {"a@foreign.test", "b@example.test", "", 0, nil, 550},
		"quoted sender":    {`"a b"@contoso.test`, "b@example.test", "", 0, nil, 501},
		"bad recipient":    {"a@contoso.test", "b", "", 0, nil, 501},
		"one is bad":       {"a@contoso.test", "b@example.test c@localhost", "", 0, nil, 550},
		"a rate":           {"a@contoso.test", "b@example.test nobody@example.test", "", 0, nil, 450},
		"too many":         {"a@contoso.test", "a@example.test b@example.test c@example.test", "", 0, nil, 554},
		"nobody":           {"a@contoso.test", "", "Subject: x\n\n", 0, nil, 451},
		"announced size":   {"a@contoso.test", "b@example.test", "", 1001, nil, 552},
		"size":             {"a@contoso.test", "b@example.test", strings.Repeat("x\n", 500), 0, nil, 552},
		"line":             {"a@contoso.test", "b@example.test", strings.Repeat("x", 500), 0, nil, 554},
		"refused by route": {"a@contoso.test", "b@example.test", "X-Refuse: x\n\n", 0, nil, 550},
		"not claimed":      {"a@contoso.test", "b@example.test", "Subject: x\n\n", 0, failed, 451},
		"too busy":         {"busy@contoso.test", "b@example.test", "Subject: x\n\n", 0, nil, 450},
	} {
		claimed := ""
		id, err := s.Submit(Submission{
			Client: netip.MustParseAddr("127.0.0.1"), Source: "a test", From: c.from, To: strings.Fields(c.to), Message: strings.NewReader(c.message), Size: c.size,
			Claim: func(id string) error { claimed = id; return c.claim },
		})
		var refusal *Refusal
		got := q.take()
		switch {
		case c.code == 0 && (err != nil || id == "" || claimed != id || len(got) != 1):
			t.Errorf("%s: %q %v, claimed as %q, %d messages", name, id, err, claimed, len(got))
		case c.code == 0:
			if text := string(got[0].data); !strings.HasPrefix(text, "Received: by relay.test (graphrelay, from a test) id "+id) || !strings.HasSuffix(text, strings.ReplaceAll(c.message, "\n", "\r\n")) || got[0].Client != "127.0.0.1" || got[0].Listener != "test" {
				t.Errorf("%s: %q %+v", name, text, got[0].Entry)
			}
		case !errors.As(err, &refusal) || refusal.Code != c.code || len(got) > 0 || q.open != 0:
			t.Errorf("%s: %v, want %d; %d messages, %d open", name, err, c.code, len(got), q.open)
		}
	}
	if q.admitted.Load() != 2 {
		t.Errorf("%d messages count", q.admitted.Load())
	}
	b := &bench{T: t, registry: registry}
	if got := b.counted("graphrelay_messages_accepted_total", "test"); got != 2 {
		t.Errorf("%v are counted as accepted", got)
	}
	if got := b.counted("graphrelay_messages_rejected_total", "test", "size"); got != 2 {
		t.Errorf("%v are counted as too large", got)
	}

	s = New(cfg, q, panickingPolicy{fakePolicy{q}}, limiter, NewMetrics(prometheus.NewRegistry()), slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := s.Submit(Submission{From: "a@contoso.test", To: []string{"b@example.test"}, Message: strings.NewReader("")}); err == nil || !strings.Contains(log.String(), "ended a session") {
		t.Errorf("after a panic: %v, %s", err, log.String())
	}
}
