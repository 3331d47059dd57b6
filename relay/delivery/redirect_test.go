package delivery_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

const staging = "staging@contoso.test"

// TestRedirectAll checks that mail by each path, and a bounce, goes to the one address alone,
// once, also where answers are lost, and says whom it was for.
func TestRedirectAll(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.out.RedirectAll = staging
	r.out.Connections = map[string]graphmail.Connection{"small": {SendOnly: true}}
	r.connect("small", secret)
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Nth: 1, After: true, Reset: true})
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, After: true, Reset: true})
	r.fault(simulator.Fault{Operation: simulator.OpCreateMIME, Nth: 1, After: true, Reset: true})
	to := []string{"bob@example.org", "hidden@example.org"}
	small := r.to(anna, to...)
	small.Lane.Connection = "small"
	ids := map[string]string{
		"text":     r.submit(compose(header("text")+"Cc: carl@example.org\nX-Graphrelay-Redirected: forged\nX-One: 1\n", "hello"), r.to(anna, to...)),
		"html":     r.submit(compose(header("html"), "<html><BODY class=a><p>hello</p></body></html>"), r.to(anna, to...)),
		"signed":   r.submit(signed("signed"), r.to("signed@contoso.test", to...)),
		"sendmail": r.submit(compose(header("sendmail"), "hello"), small),
	}
	stop := r.start(nil)
	defer stop()
	const want = "It was from " + anna + ", for bob@example.org, hidden@example.org."
	for name, id := range ids {
		d := r.sentOnce(id)
		if got := d.Recipients(); !slices.Equal(got, []string{staging}) {
			t.Errorf("%s went to %v", name, got)
		}
		m := r.message(d)
		if name == "signed" {
			raw := r.fetch("/_simulator/attachments/" + m.MIME.ID)
			head, body, _ := strings.Cut(raw, "\r\n\r\n")
			head += "\r\n"
			if !strings.Contains(head, "X-Graphrelay-Redirected: bob@example.org, hidden@example.org\r\n") || !strings.Contains(head, "\r\nTo: <"+staging+">\r\n") ||
				!strings.Contains(body, "signed  text ") || strings.Contains(body, "redirected") {
				t.Errorf("signed arrived as %q", raw)
			}
			continue
		}
		if !strings.Contains(m.Body.Content, want) {
			t.Errorf("%s has the body %q", name, m.Body.Content)
		}
		if body := strings.Index(m.Body.Content, "<BODY class=a>"); name == "html" && (body < 0 || body > strings.Index(m.Body.Content, want)) {
			t.Errorf("the note is not in the body: %q", m.Body.Content)
		}
		if h := m.Headers; len(h) == 0 || h[0].Name != "X-Graphrelay-Redirected" || h[0].Value != "bob@example.org, hidden@example.org" {
			t.Errorf("%s has the headers %v", name, h)
		}
	}
	if h := r.history(ids["text"]); !strings.Contains(h, "redirected to "+staging) || strings.Contains(h, "dropped the header recipient") {
		t.Errorf("the history is\n%s", h)
	}
	r.noDrafts()
}

// fetch returns what the simulator answers to a GET.
func (r *rig) fetch(path string) string {
	r.t.Helper()
	resp, err := http.Get(r.url + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("GET %s: %s, %v", path, resp.Status, err)
	}
	return string(body)
}

// TestRedirectAllBounces checks that a bounce goes nowhere else.
func TestRedirectAllBounces(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.out.RedirectAll = staging
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 400, Code: "ErrorMessageSizeExceeded", Message: "too large"})
	id := r.submit(compose(header("fails"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.await(id, queue.Failed)
	list := r.notifications(id)
	if len(list) != 1 || !slices.Equal(list[0].Envelope.To, []string{anna}) {
		t.Fatalf("notifications %+v", list)
	}
	if got := r.sentOnce(list[0].ID).Recipients(); !slices.Equal(got, []string{staging}) {
		t.Errorf("the bounce went to %v", got)
	}
}

// TestRedirectAllChanged checks that a message whose draft was made before the setting changed
// is held, whichever way it changed, and goes on once the setting is back.
func TestRedirectAllChanged(t *testing.T) {
	for _, first := range []string{"", staging} {
		t.Run("from "+first, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.out.RedirectAll = first
			fault := r.fault(simulator.Fault{Operation: simulator.OpAttachment, Status: 503})
			id := r.submit(compose(header("begun"), "text", attached{name: "a.bin", kind: "application/octet-stream", data: random(1000)}), r.to(anna, "bob@example.org"))
			stop := r.start(nil)
			r.await(id, queue.Deferred)
			stop()
			if fault == 0 || len(r.sim.Drafts()) != 1 {
				t.Fatalf("%d drafts", len(r.sim.Drafts()))
			}
			r.sim.ClearFaults()
			other := staging
			if first == staging {
				other = "elsewhere@contoso.test"
			}
			r.out.RedirectAll = other
			stop = r.start(nil)
			if rec := r.await(id, queue.Held); rec.Reason != reason.Operator || !strings.Contains(rec.Detail, "redirect_all") {
				t.Errorf("held as %s: %s", rec.Reason, rec.Detail)
			}
			stop()
			if sent := r.sim.Ledger(); len(sent) > 0 {
				t.Errorf("sent %+v", sent)
			}
			r.out.RedirectAll = first
			if err := r.store.Apply(t.Context(), id, queue.Release, "test"); err != nil {
				t.Fatal(err)
			}
			defer r.start(nil)()
			want := "bob@example.org"
			if first != "" {
				want = first
			}
			if got := r.sentOnce(id).Recipients(); !slices.Equal(got, []string{want}) {
				t.Errorf("went to %v", got)
			}
		})
	}
}
