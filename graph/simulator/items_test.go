package simulator_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

func (c *client) patch(id string, change object) reply {
	c.t.Helper()
	return c.json("PATCH", "/messages/"+id, change)
}

func TestOrdinaryIDsChangeOnSending(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	immutable := c.draft(plain("s"))
	c.header.Del("Prefer")
	c.want(c.get("/messages/"+immutable), 404, "ErrorItemNotFound")
	ordinary := c.draft(plain("s"))
	c.want(c.get("/messages/"+strings.ToLower(ordinary)), 404, "ErrorItemNotFound")
	c.want(c.send(ordinary), 202, "")
	c.want(c.get("/messages/"+ordinary), 404, "ErrorItemNotFound")
	r := c.get("/mailFolders/SentItems/messages?$select=id,isDraft")
	if list := r.object()["value"].([]any); len(list) != 1 || list[0].(object)["id"] == ordinary {
		t.Errorf("sent items %s", r.body)
	}
}

func TestLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{SendDelay: 100 * time.Millisecond, InFlight: simulator.InFlightDraft})
		id := c.draft(plain("s"))
		c.want(c.send(id), 202, "")
		if r := c.get("/messages/" + id); r.object()["isDraft"] != true {
			t.Errorf("in flight: %s", r.body)
		}
		c.want(c.send(id), 400, "ErrorInvalidRequest")
		if n := c.sim.UnderWay(); n != 1 {
			t.Errorf("%d are under way", n)
		}
		c.settled(1)
		if n := c.sim.UnderWay(); n != 0 {
			t.Errorf("%d are under way after it", n)
		}
		if r := c.get("/messages/" + id + "?$select=isDraft"); r.object()["isDraft"] != false || r.field("subject") != "" {
			t.Errorf("sent: %s", r.body)
		}
		c.want(c.send(id), 400, "ErrorInvalidRequest")
		c.want(c.json("POST", "/messages/"+id+"/attachments", file("a", nil)), 400, "ErrorInvalidRequest")
		c.want(c.session(id, object{"attachmentType": "file", "name": "f", "size": 4_000_000}), 400, "ErrorInvalidRequest")
		c.want(c.do(c.request("DELETE", "/messages/"+id, "", nil)), 204, "")
		c.want(c.get("/messages/"+id), 404, "ErrorItemNotFound")
		if n := len(c.sim.Ledger()); n != 1 {
			t.Errorf("%d sends in the ledger, want 1", n)
		}
	})
}

func TestInFlightHidden(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: time.Hour, InFlight: simulator.InFlightHidden})
	id := c.draft(plain("s"))
	c.want(c.send(id), 202, "")
	c.want(c.get("/messages/"+id), 404, "ErrorItemNotFound")
	if list := c.get("/messages").object()["value"].([]any); len(list) != 0 {
		t.Errorf("listed: %v", list)
	}
	if drafts := c.sim.Drafts(); len(drafts) != 1 || !drafts[0].Submitted {
		t.Errorf("drafts %+v", drafts)
	}
}

func TestInFlightBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{SendDelay: 400 * time.Millisecond})
		id := c.draft(plain("s"))
		c.want(c.send(id), 202, "")
		c.want(c.get("/messages/"+id), 200, "")
		time.Sleep(250 * time.Millisecond)
		c.want(c.get("/messages/"+id), 404, "ErrorItemNotFound")
		time.Sleep(200 * time.Millisecond)
		c.want(c.get("/messages/"+id), 200, "")
	})
}

func TestFindByPropertyAndMessageID(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	message := plain("found")
	message["internetMessageId"] = "<o'neil+1@contoso.test>"
	message["internetMessageHeaders"] = headers("X-One")
	message["singleValueExtendedProperties"] = []object{
		{"id": simulator.QueueProperty, "value": "Q7"}, {"id": "Integer 0x0036", "value": "2"}}
	id := c.draft(message)
	c.draft(plain("other"))
	lambda := "singleValueExtendedProperties/Any(ep: ep/id eq '" + simulator.QueueProperty + "' and ep/value eq 'q7')"
	for filter, want := range map[string]int{
		lambda:                           1,
		lambda + " and isDraft eq true":  1,
		"isDraft eq false and " + lambda: 0,
		strings.Replace(lambda, "graphrelay-id", "Graphrelay-id", 1): 0,
		"internetMessageId eq '<o''neil+1@contoso.test>'":            1,
		"isDraft eq true": 2,
	} {
		r := c.get("/mailFolders/drafts/messages?$filter=" + url.QueryEscape(filter))
		c.want(r, 200, "")
		list := r.object()["value"].([]any)
		if len(list) != want {
			t.Errorf("%s: %d found, want %d", filter, len(list), want)
		}
		if want == 1 && (list[0].(object)["id"] != id || list[0].(object)["singleValueExtendedProperties"] != nil) {
			t.Errorf("%s: found %v", filter, list[0])
		}
	}
	r := c.get("/messages/" + id + "?$select=internetMessageHeaders&$expand=" +
		url.QueryEscape("singleValueExtendedProperties($filter=id eq '"+simulator.QueueProperty+"' or id eq 'integer 0x36'),attachments"))
	c.want(r, 200, "")
	if got := string(r.body); !strings.Contains(got, `"X-One"`) || !strings.Contains(got, `"Integer 0x36"`) || !strings.Contains(got, `"attachments":[]`) {
		t.Errorf("expanded: %s", got)
	}
}

func TestQueryRefusals(t *testing.T) {
	c := start(t, simulator.Options{})
	for query, code := range map[string]string{
		"$filter=subject eq 'x'":                                   "BadRequest",
		"$filter=isDraft eq 'true'":                                "BadRequest",
		"$filter=isDraft eq true or true":                          "BadRequest",
		"$filter=internetMessageId eq 'x":                          "BadRequest",
		"$select=subjct":                                           "RequestBroker--ParseUri",
		"$expand=singleValueExtended":                              "RequestBroker--ParseUri",
		"$expand=singleValueExtendedProperties($filter=id eq 'x')": "ErrorInvalidArgument",
		"$top=0":                "BadRequest",
		"$orderby=subject desc": "BadRequest",
	} {
		name, value, _ := strings.Cut(query, "=")
		c.want(c.get("/messages?"+name+"="+url.QueryEscape(value)), 400, code)
	}
}

// PidTagMessageFlags shows whether an item in Drafts was submitted.
func TestMessageFlags(t *testing.T) {
	flags := func(c *client, id string) any {
		t.Helper()
		r := c.get("/messages/" + id + "?$select=id&$expand=" + url.QueryEscape("singleValueExtendedProperties($filter=id eq 'Integer 0x0E07')"))
		list, _ := r.object()["singleValueExtendedProperties"].([]any)
		if len(list) != 1 {
			return nil
		}
		if p := list[0].(object); p["id"] != "Integer 0xe07" {
			t.Errorf("the id is %v", p["id"])
		}
		return list[0].(object)["value"]
	}
	for _, shown := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := startDirect(t, simulator.Options{SendDelay: 100 * time.Millisecond, InFlight: simulator.InFlightDraft, MessageFlags: shown})
			want := func(when, id string, value any) {
				t.Helper()
				if !shown {
					value = nil
				}
				if got := flags(c, id); got != value {
					t.Errorf("%s, shown %v: flags %v, want %v", when, shown, got, value)
				}
			}
			id := c.draft(plain("s"))
			want("draft", id, "9")
			c.want(c.json("POST", "/messages/"+id+"/attachments", file("a", nil)), 201, "")
			want("draft with a file", id, "25")
			c.want(c.send(id), 202, "")
			want("in flight", id, "29")
			c.settled(1)
			want("sent", id, "17")
		})
	}
}

func TestPatch(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	id := c.draft(plain("s"))
	r := c.patch(id, object{"subject": "new", "importance": "High", "attachments": []object{file("lost", nil)},
		"singleValueExtendedProperties": []object{{"id": simulator.QueueProperty, "value": "Q9"}}})
	c.want(r, 200, "")
	draft := c.sim.Drafts()[0]
	if draft.Subject != "new" || draft.Importance != "high" || len(draft.Attachments) != 0 || len(draft.Properties) != 1 || len(draft.To) != 1 {
		t.Errorf("patched %+v", draft)
	}
	c.want(c.patch(id, object{"internetMessageHeaders": headers("x-1")}), 400, "ErrorInvalidPropertySet")
	c.want(c.patch(id, object{"subject": "half", "importance": "urgent"}), 400, "RequestBodyRead")
	if got := c.sim.Drafts()[0].Subject; got != "new" {
		t.Errorf("a refused patch set the subject to %q", got)
	}
	c.want(c.send(id), 202, "")
	c.want(c.patch(id, object{"subject": "late"}), 400, "ErrorInvalidPropertySet")
	c.want(c.patch(id, object{"isRead": false}), 200, "")
}

func TestHTMLIsWrappedInAnswersOnly(t *testing.T) {
	c := start(t, simulator.Options{})
	id := c.draft(with(plain("s"), "body", object{"contentType": "HTML", "content": "<p>Hello &amp; bye</p>"}))
	body := c.get("/messages/" + id).object()["body"].(object)
	if content := body["content"].(string); !strings.HasPrefix(content, "<html><head>\r\n<meta") || body["contentType"] != "html" {
		t.Errorf("answered %v", body)
	}
	if got := c.sim.Drafts()[0].Body.Content; got != "<p>Hello &amp; bye</p>" {
		t.Errorf("kept %q", got)
	}
}

const mimeMessage = "From: Anna <anna@contoso.test>\r\nTo: ben@fabrikam.test\r\nBcc: secret@fabrikam.test\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <m1@contoso.test>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\nContent-Type: text/csv; name=a.csv\r\n" +
	"Content-Transfer-Encoding: base64\r\n\r\nMSwy\r\n--b--\r\n"

func (c *client) mime(path, message string) reply {
	c.t.Helper()
	return c.do(c.request("POST", path, "text/plain", []byte(base64.StdEncoding.EncodeToString([]byte(message)))))
}

func TestMIME(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	r := c.mime("/messages", mimeMessage)
	c.want(r, 201, "")
	c.want(c.send(r.field("id")), 202, "")
	c.want(c.mime("/sendMail", mimeMessage), 202, "")
	for n, m := range c.sim.Sent() {
		if m.Subject != "Grüße" || m.InternetMessageID != "<m1@contoso.test>" || m.Body.Content != "Hello" || len(m.Recipients()) != 2 {
			t.Errorf("item %d: %+v", n, m)
		}
		if raw, kept := c.sim.Content(m.MIME.ID); !kept || string(raw) != mimeMessage {
			t.Errorf("item %d: MIME kept %v", n, kept)
		}
		if content, _ := c.sim.Content(m.Attachments[0].ID); string(content) != "1,2" || m.Attachments[0].Name != "a.csv" {
			t.Errorf("item %d: attachment %q %+v", n, content, m.Attachments[0])
		}
	}
	if l := c.sim.Ledger(); l[0].Path != simulator.PathMIME || l[1].Path != simulator.PathSendMail || l[0].Key() != "<m1@contoso.test>" {
		t.Errorf("ledger %+v", l)
	}
	undisclosed := strings.Replace(mimeMessage, "ben@fabrikam.test", "Undisclosed recipients:;", 1)
	c.want(c.mime("/sendMail", undisclosed), 400, "ErrorInvalidRecipients")
}

func TestSendMailWithoutCopy(t *testing.T) {
	for _, value := range []any{false, "false", true, nil} {
		c := start(t, simulator.Options{SendDelay: -1})
		c.want(c.json("POST", "/sendMail", object{"Message": plain("s"), "SaveToSentItems": value}), 202, "")
		copies := 1
		if value == false || value == "false" {
			copies = 0
		}
		if got := len(c.sim.Sent()); got != copies || len(c.sim.Ledger()) != 1 {
			t.Errorf("saveToSentItems %v: %d copies, want %d", value, got, copies)
		}
	}
	c := start(t, simulator.Options{})
	c.want(c.json("POST", "/sendMail", object{"saveToSentItems": true}), 400, "ErrorInvalidRequest")
}

func TestOldestSentItemsMakeRoom(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1, MaxItems: 2})
	for range 3 {
		c.want(c.json("POST", "/sendMail", object{"message": plain("s")}), 202, "")
	}
	if sent, st := c.sim.Sent(), c.sim.Stats(); len(sent) != 2 || st.Items != 2 || st.Sent != 3 || st.ContentBytes != 10 {
		t.Errorf("%d sent items, stats %+v", len(sent), st)
	}
	c.sim.Reset()
	c.draft(plain("1"))
	c.draft(plain("2"))
	c.want(c.json("POST", "/messages", plain("3")), 403, "ErrorQuotaExceeded")
}

func TestObjectIDIsMailboxKey(t *testing.T) {
	c := start(t, simulator.Options{})
	r := c.json("POST", "/messages", plain("s"))
	location := r.header.Get("Location")
	_, rest, _ := strings.Cut(location, "users('")
	key, _, _ := strings.Cut(rest, "')")
	req := c.request("GET", "", "", nil)
	req.URL.Path = "/v1.0/users/" + key + "/messages/" + r.field("id")
	c.want(c.do(req), 200, "")
}

func TestDraftsOfOtherWorlds(t *testing.T) {
	const raw = "From: anna@contoso.test\r\nTo: bob@example.org\r\nBcc: eve@example.org\r\nMessage-ID: <mine@x>\r\n\r\ntext\r\n"
	c := in(t, simulator.World{NewMessageIDOnCreate: true, MIMELosesBcc: true, SendsAgain: true})
	c.want(c.mime("/messages", raw), 201, "")
	if d := c.sim.Drafts()[0]; d.InternetMessageID == "<mine@x>" || len(d.Bcc) != 0 || len(d.To) != 1 {
		t.Errorf("the draft has %s and the recipients %v", d.InternetMessageID, d.Recipients())
	}
	id := c.draft(with(plain("s"), "internetMessageId", "<mine@x>"))
	if d := c.sim.Drafts(); d[0].InternetMessageID == "<mine@x>" || d[1].InternetMessageID == "<mine@x>" {
		t.Error("a draft keeps its Message-ID")
	}
	c.want(c.send(id), 202, "")
	c.want(c.send(id), 202, "")
	if n := len(c.sim.Ledger()); n != 2 {
		t.Errorf("sent %d times, want 2", n)
	}
	c.change(func(w *simulator.World) { w.AppearDelay = time.Hour })
	c.want(c.get("/messages/"+c.draft(plain("s"))), 404, "ErrorItemNotFound")
}
