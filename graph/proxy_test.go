package graph_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"graphrelay/graph"
)

// A request that does not reach Graph has no effect, and others would not reach it either:
// the proxy refuses it or is down, or the certificate is not trusted.
func TestOnTheWay(t *testing.T) {
	const password = "pr0xy~secret"
	proxy := serve(t, withTokens(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusProxyAuthRequired
		if strings.HasPrefix(r.Host, "blocked.test") {
			status = http.StatusForbidden
		}
		reply(status, `{"error":{"code":"ErrorInvalidRecipients","message":"not with `+r.Header.Get("Proxy-Authorization")+`"}}`)(w, r)
	})))
	strange := httptest.NewTLSServer(withTokens(reply(202, "")))
	t.Cleanup(strange.Close)
	down := httptest.NewServer(withTokens(http.NotFoundHandler()))
	t.Cleanup(down.Close)
	for _, tt := range []struct{ name, proxy, login, graph, text string }{
		{"refused in CONNECT", proxy, "http://login.test", "https://graph.test", "set proxy_user and proxy_password"},
		{"refused as an answer", proxy, "http://login.test", "http://graph.test", "set proxy_user and proxy_password"},
		{"host blocked", proxy, "http://login.test", "https://blocked.test", "allow the hosts"},
		{"proxy down", down.URL, "http://login.test", "https://graph.test", "proxyconnect"},
		{"unknown authority", "", serve(t, withTokens(http.NotFoundHandler())), strange.URL, "unknown authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, tt.login, func(cfg *graph.Config) {
				cfg.GraphURL = tt.graph
				if tt.proxy != "" {
					cfg.Proxy, _ = url.Parse(tt.proxy)
					cfg.Proxy.User = url.UserPassword("relay", password)
				}
			})
			if _, err := c.Token(t.Context(), mailbox); err != nil {
				t.Fatal(err)
			}
			if tt.proxy == down.URL {
				down.Close()
			}
			_, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
			e := graphError(t, err)
			if e.Class != graph.ClassConnection || e.Reason != graph.ReasonNetwork || e.Ambiguous || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s %s ambiguous %v: %v", e.Class, e.Reason, e.Ambiguous, err)
			}
			if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "Basic") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
	c := newClient(t, strange.URL, func(cfg *graph.Config) { cfg.Authorities = []*x509.Certificate{strange.Certificate()} })
	if _, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil); err != nil {
		t.Errorf("with the authority: %v", err)
	}
}

// If a proxy repeats its credentials, no error shows them.
func TestProxyRepeatsThePassword(t *testing.T) {
	const password = "pr0xy~secret"
	c := newClient(t, "http://graph.test", func(cfg *graph.Config) {
		cfg.Proxy, _ = url.Parse(serve(t, withTokens(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, basic, _ := strings.Cut(r.Header.Get("Proxy-Authorization"), " ")
			reply(400, `{"error":{"code":"`+basic+`","message":"`+basic+" "+password+`"}}`)(w, r)
		}))))
		cfg.Proxy.User = url.UserPassword("relay", password)
	})
	_, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
	if text := graphError(t, err).Error(); text != "graph send: 400 [redacted]: [redacted] [redacted]" {
		t.Errorf("got %q", text)
	}
}
