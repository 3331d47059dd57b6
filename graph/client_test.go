package graph_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
)

func TestCallsSucceed(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{SendDelay: -1})
	ctx := t.Context()
	id, r, err := c.Mailbox(mailbox).CreateDraft(ctx, message("all calls"))
	if err != nil || id == "" || r.Status != http.StatusCreated || r.RequestID == "" {
		t.Fatalf("create: %q %+v %v", id, r, err)
	}
	if r, err := c.Mailbox(mailbox).PostAttachment(ctx, id, file("a.pdf", "content")); err != nil || r.Status != http.StatusCreated {
		t.Fatalf("attach: %+v %v", r, err)
	}
	if n, _, err := c.Mailbox(mailbox).CountAttachments(ctx, id); err != nil || n != 1 {
		t.Fatalf("attachments: %d %v", n, err)
	}
	found, _, err := c.Mailbox(mailbox).FindByQueueID(ctx, "0q1")
	if err != nil || len(found.Items) != 1 || found.Items[0].ID != id || !found.Items[0].IsDraft || found.Unreliable {
		t.Fatalf("find: %+v %v", found, err)
	}
	if item, _, err := c.Mailbox(mailbox).Item(ctx, id); err != nil || item.ID != id || !item.IsDraft || item.Submitted() {
		t.Fatalf("look: %+v %v", item, err)
	}
	if r, err := c.Mailbox(mailbox).Send(ctx, id, nil); err != nil || r.Status != http.StatusAccepted {
		t.Fatalf("send: %+v %v", r, err)
	}
	if item, _, err := c.Mailbox(mailbox).Item(ctx, id); err != nil || item.ID != id || item.IsDraft {
		t.Fatalf("look after send: %+v %v", item, err)
	}
	if _, err := c.Mailbox(mailbox).Delete(ctx, id); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if _, err := c.Mailbox(mailbox).Delete(ctx, id); err != nil {
		t.Fatalf("delete of what is gone: %v", err)
	}
	if _, _, err := c.Mailbox(mailbox).Item(ctx, id); !graph.NotFound(err) {
		t.Fatalf("look after delete: %v, want not found", err)
	}
	if tok, err := c.Token(ctx, mailbox); err != nil || tok.AccessToken == "" {
		t.Fatalf("token: %v", err)
	}
	if got := len(sim.Ledger()); got != 1 {
		t.Fatalf("%d sends in the ledger, want 1", got)
	}
}

// The headers and the body that each request must have.
func TestRequestsOnTheWire(t *testing.T) {
	_, rec, c := simulated(t, simulator.Options{SendDelay: -1})
	id := draft(t, c)
	if _, err := c.Mailbox(mailbox).PostAttachment(t.Context(), id, file("a.pdf", strings.Repeat("x", 100_000))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Mailbox(mailbox).Send(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, r := range rec.reqs {
		if r.Header.Get("User-Agent") != "graphrelay/test" {
			t.Errorf("%s: User-Agent %q", r.Path, r.Header.Get("User-Agent"))
		}
		cid := r.Header.Get("Client-Request-Id")
		if !uuid.MatchString(cid) || ids[cid] {
			t.Errorf("%s: client-request-id %q is no UUID of its own", r.Path, cid)
		}
		ids[cid] = true
		if r.Chunked {
			t.Errorf("%s: chunked", r.Path)
		}
		if got := r.Header.Get("Prefer"); got != `IdType="ImmutableId"` {
			t.Errorf("%s: Prefer %q", r.Path, got)
		}
		if strings.HasSuffix(r.Path, "/token") {
			continue
		}
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			t.Errorf("%s: no bearer token", r.Path)
		}
	}
	send := rec.of("POST", "/send")[0]
	if got := send.Header["Content-Length"]; send.Length != 0 || len(got) != 1 || got[0] != "0" {
		t.Errorf("send: Content-Length %q", got)
	}
	attach := rec.of("POST", "/attachments")[0]
	if attach.Length != int64(len(attach.Body)) || attach.Length < 100_000 {
		t.Errorf("attach: Content-Length %d of %d bytes", attach.Length, len(attach.Body))
	}
}

// After 503 the next request uses a new connection, which may reach another server.
func TestNewConnectionAfter503(t *testing.T) {
	var peers []string
	status := 503
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		peers = append(peers, r.RemoteAddr)
		reply(status, "")(w, r)
		status = 202
	})
	for range 3 {
		_, _ = c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
	}
	if len(peers) != 3 || peers[0] == peers[1] || peers[1] != peers[2] {
		t.Errorf("connections from %q", peers)
	}
}

func TestCreateLeavesOutWhatIsEmpty(t *testing.T) {
	_, rec, c := simulated(t, simulator.Options{})
	m := message("<b> & co")
	draft := func(headers []graph.Header) map[string]any {
		m.InternetMessageHeaders = headers
		if _, _, err := c.Mailbox(mailbox).CreateDraft(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		all := rec.of("POST", "/messages")
		last := all[len(all)-1]
		if int64(len(last.Body)) != m.Size() {
			t.Errorf("Size is %d, the request has %d", m.Size(), len(last.Body))
		}
		if !strings.Contains(string(last.Body), "<b> & co") {
			t.Error("HTML is escaped, which costs room")
		}
		var got map[string]any
		if err := json.Unmarshal(last.Body, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, empty := range [][]graph.Header{nil, {}} {
		got := draft(empty)
		for _, name := range []string{"internetMessageHeaders", "from", "sender", "ccRecipients", "bccRecipients", "replyTo", "importance"} {
			if _, there := got[name]; there {
				t.Errorf("%s is there though empty", name)
			}
		}
	}
	if got := draft([]graph.Header{{Name: "X-A", Value: "1"}}); len(got["internetMessageHeaders"].([]any)) != 1 {
		t.Errorf("internetMessageHeaders: %v", got["internetMessageHeaders"])
	}
}

// The answer to create repeats a body of megabytes, with each < as \u003c.
func TestCreateOfALargeBody(t *testing.T) {
	_, _, c := simulated(t, simulator.Options{})
	m := message("large")
	m.Body = graph.Body{ContentType: "html", Content: strings.Repeat("<p>", 1_200_000)}
	id, _, err := c.Mailbox(mailbox).CreateDraft(t.Context(), m)
	if err != nil || id == "" {
		t.Fatalf("got %q, %v", id, err)
	}
}

// Only the documented status is success. After any other the effect may have happened.
func TestOnlyTheDocumentedStatusIsSuccess(t *testing.T) {
	item := `{"id":"AAQ","isDraft":true}`
	create := func(c *graph.Client) error {
		_, _, err := c.Mailbox(mailbox).CreateDraft(t.Context(), message("s"))
		return err
	}
	send := func(c *graph.Client) error { _, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil); return err }
	attach := func(c *graph.Client) error {
		_, err := c.Mailbox(mailbox).PostAttachment(t.Context(), "AAQ", file("a", "b"))
		return err
	}
	look := func(c *graph.Client) error { _, _, err := c.Mailbox(mailbox).Item(t.Context(), "AAQ"); return err }
	find := func(c *graph.Client) error {
		_, _, err := c.Mailbox(mailbox).FindByQueueID(t.Context(), "q")
		return err
	}
	count := func(c *graph.Client) error {
		_, _, err := c.Mailbox(mailbox).CountAttachments(t.Context(), "AAQ")
		return err
	}
	session := func(c *graph.Client) error {
		_, _, err := c.Mailbox(mailbox).CreateUploadSession(t.Context(), "AAQ", file("a", "b"))
		return err
	}
	for _, tt := range []struct {
		name   string
		call   func(*graph.Client) error
		status int
		body   string
		ok     bool
	}{
		{"create 201", create, 201, item, true},
		{"create 200 with the item", create, 200, item, false},
		{"create 200 empty", create, 200, "", false},
		{"create 201 empty", create, 201, "", false},
		{"create 201 without id", create, 201, `{"isDraft":true}`, false},
		{"create 201 no JSON", create, 201, "<html>", false},
		{"create 202", create, 202, item, false},
		{"create 302", create, 302, "", false},
		{"send 202", send, 202, "", true},
		{"send 200 empty", send, 200, "", false},
		{"send 201", send, 201, "", false},
		{"send 204", send, 204, "", false},
		{"attach 201", attach, 201, `{"id":"x"}`, true},
		{"attach 201 no JSON", attach, 201, `oops`, true}, // the answer is not needed
		{"attach 200", attach, 200, `{"id":"x"}`, false},
		{"look 200", look, 200, item, true},
		{"look 200 empty", look, 200, "", false},
		{"look 200 without isDraft", look, 200, `{"id":"AAQ"}`, false},
		{"look 200 null", look, 200, `null`, false},
		{"find 200", find, 200, `{"value":[` + item + `]}`, true},
		{"find 200 none", find, 200, `{"value":[]}`, true},
		{"find 200 empty", find, 200, "", false},
		{"find 200 without value", find, 200, `{}`, false},
		{"find 200 without isDraft", find, 200, `{"value":[{"id":"AAQ"}]}`, false},
		{"attachments 200 none", count, 200, `{"value":[]}`, true},
		{"attachments 200 empty", count, 200, "", false},
		{"attachments 200 without value", count, 200, `{}`, false},
		{"session 201 empty", session, 201, "", false},
		{"session 201 ftp", session, 201, `{"uploadUrl":"ftp://a/b"}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call(answering(t, reply(tt.status, tt.body)))
			if tt.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e := graphError(t, err)
			if e.Class != graph.ClassTemporary {
				t.Errorf("class %s, want temporary", e.Class)
			}
			if strings.HasPrefix(tt.name, "create") || strings.HasPrefix(tt.name, "send") {
				if !e.Ambiguous {
					t.Error("it may have had its effect, but is not ambiguous")
				}
			}
		})
	}
}

// Graph has answered 202 with Retry-After; a retry then sent the message twice.
func TestSendAcceptedWithRetryAfter(t *testing.T) {
	c := answering(t, reply(202, "", "Retry-After", "10"))
	if _, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil); err != nil {
		t.Fatal(err)
	}
}

func TestLookDoesWithoutTheFlags(t *testing.T) {
	var queries []string
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		if strings.Contains(r.URL.RawQuery, "expand") {
			reply(400, `{"error":{"code":"BadRequest"}}`)(w, r)
			return
		}
		reply(200, `{"id":"AAQ","isDraft":true}`)(w, r)
	})
	if item, _, err := c.Mailbox(mailbox).Item(t.Context(), "AAQ"); err != nil || !item.IsDraft || len(queries) != 2 {
		t.Fatalf("%+v %v after %q", item, err, queries)
	}
	for _, q := range queries {
		if strings.Contains(q, "+") {
			t.Errorf("a plus sign for a space in %s", q)
		}
	}
}

func TestSubmitted(t *testing.T) {
	for _, tt := range []struct {
		id, value string
		want      bool
	}{
		{"Integer 0x0E07", "4", true},
		{"Integer 0xe07", "13", true},
		{"Integer 0xe07", "9", false},
		{"Integer 0xe07", "", false},
		{"Integer 0xe07", "four", false},
		{"Integer 0x36", "4", false},
	} {
		i := graph.Item{Properties: []graph.Property{{ID: tt.id, Value: tt.value}}}
		if got := i.Submitted(); got != tt.want {
			t.Errorf("%s = %q: got %v", tt.id, tt.value, got)
		}
	}
}
