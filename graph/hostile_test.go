package graph_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph"
)

// endless writes until the client closes the connection, and counts the bytes.
func endless(status int, start string, n *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, start)
		chunk := []byte(strings.Repeat("a", 64<<10))
		for n.Load() < 1<<30 {
			m, err := w.Write(chunk)
			if n.Add(int64(m)); err != nil {
				return
			}
		}
	}
}

// Only a limited part of an endless answer is read.
func TestEndlessAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		start  string
	}{
		{"error", 500, `{"error":{"code":"`},
		{"no JSON", 400, ""},
		{"success", 200, `{"id":"`},
		{"nested", 200, strings.Repeat(`{"a":`, 100_000)},
		{"array", 200, `{"value":["`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent atomic.Int64
			c := answering(t, endless(tt.status, tt.start, &sent))
			_, _, err := c.Mailbox(mailbox).Item(within(t, guard), "AAQ")
			e := graphError(t, err)
			if len(e.Error()) > 2000 {
				t.Errorf("%d bytes of error text", len(e.Error()))
			}
			if errors.Is(err, t.Context().Err()) && t.Context().Err() != nil {
				t.Error("read until the time was over")
			}
			c.Close()
			if n := sent.Load(); n > 64<<20 {
				t.Errorf("%d bytes were read", n)
			}
		})
	}
}

func TestNestedAnswers(t *testing.T) {
	deep := strings.Repeat(`{"error":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	for _, status := range []int{200, 400, 500} {
		_, _, err := answering(t, reply(status, deep)).Mailbox(mailbox).Item(t.Context(), "AAQ")
		if e := graphError(t, err); e.Status != status || e.Code != "" {
			t.Errorf("%d: got %+v", status, e)
		}
	}
}

// Text from outside ends up in logs. It must be one short line that prints.
func TestTextFromOutsideIsCleaned(t *testing.T) {
	dirty := `a\u0000b\r\nlevel=error\u001b[31m\u202e\ud800` + strings.Repeat("x", 5000)
	body := `{"error":{"code":"` + dirty + `","message":"` + dirty + `"}}`
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["request-id"] = []string{"id\tvalue\x80" + strings.Repeat("y", 5000)}
		reply(400, body)(w, r)
	})
	r, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
	e := graphError(t, err)
	for _, s := range []string{e.Code, e.Message, e.RequestID, e.Error(), r.RequestID} {
		if strings.ContainsAny(s, "\x00\r\n\t\x1b\u202e") || len(s) > 2000 {
			t.Errorf("got %q", s)
		}
	}
}

// Redirects are not followed: they would send the token and the mail to any host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var strayed atomic.Int32
	elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	for _, status := range []int{301, 302, 303, 307, 308} {
		h := reply(status, "", "Location", elsewhere)
		c := answering(t, h)
		if _, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil); err == nil {
			t.Errorf("%d on send is a success", status)
		}
		if _, _, err := c.Mailbox(mailbox).Item(t.Context(), "AAQ"); err == nil {
			t.Errorf("%d on get is a success", status)
		}
		if _, err := newClient(t, serve(t, h)).Token(t.Context(), mailbox); err == nil {
			t.Errorf("%d on token is a success", status)
		}
		c, url := session(t, status, "")
		if _, _, err := c.Mailbox(mailbox).PutRange(t.Context(), url, graph.UploadRange{Content: strings.NewReader("x"), Length: 1, Total: 2}); err == nil {
			t.Errorf("%d on upload is a success", status)
		}
	}
	if n := strayed.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func TestTimeouts(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	trickle := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	}
	for name, h := range map[string]http.HandlerFunc{"no answer": hang, "no end": trickle} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Bool
			counted := func(w http.ResponseWriter, r *http.Request) { asked.Store(true); h(w, r) }
			var err error
			// On a busy machine the token alone may take as long.
			for timeout := 100 * time.Millisecond; !asked.Load() && timeout < guard; timeout *= 4 {
				c := answering(t, counted, func(cfg *graph.Config) { cfg.Timeout = timeout })
				_, _, err = c.Mailbox(mailbox).Item(within(t, guard), "AAQ")
			}
			if e := graphError(t, err); !e.Ambiguous || e.Class != graph.ClassTemporary || e.Reason == graph.ReasonCanceled {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// If no connection was made, the request had no effect, and the connection is at fault. The
// host of an upload URL is not that of Graph, and does not count.
func TestUnreachable(t *testing.T) {
	login := serve(t, withTokens(reply(404, "")))
	c := newClient(t, "http://127.0.0.1:1", func(cfg *graph.Config) { cfg.SignIn = signIn(login, cfg.GraphURL, secret) })
	_, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
	if e := graphError(t, err); e.Ambiguous || e.Reason != graph.ReasonNetwork || e.Class != graph.ClassConnection {
		t.Errorf("got %+v", e)
	}
	_, _, err = c.Mailbox(mailbox).UploadState(t.Context(), "http://127.0.0.1:1/upload")
	if e := graphError(t, err); e.Class != graph.ClassTemporary {
		t.Errorf("got %+v", e)
	}
}

// The id is the message's own, whatever surrounds it in the answer to create.
func TestCreatedID(t *testing.T) {
	for _, tt := range []struct{ name, answer, want string }{
		{"first", `{"id":"AAQ","subject":"s"}`, "AAQ"},
		{"last", `{"body":{"id":"other"},"list":[{"id":"other"}],"id":"AAQ"}`, "AAQ"},
		{"then cut off", `{"id":"AAQ","body":{"content":"a`, "AAQ"},
		{"then no JSON", `{"id":"AAQ",]`, "AAQ"},
		{"cut off", `{"id":"AA`, ""},
		{"cut off before", `{"subject":"s"`, ""},
		{"no text", `{"id":5}`, ""},
		{"null", `{"id":null}`, ""},
		{"deeper only", `{"message":{"id":"AAQ"}}`, ""},
		{"no object", `["id","AAQ"]`, ""},
		{"empty", ``, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, _, err := answering(t, reply(201, tt.answer)).Mailbox(mailbox).CreateDraft(t.Context(), message("s"))
			if id != tt.want {
				t.Errorf("id %q, want %q", id, tt.want)
			}
			if tt.want != "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := graphError(t, err); !e.Ambiguous {
				t.Errorf("%v is not ambiguous: the draft may exist", err)
			}
		})
	}
}
