package simulator_test

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

const marked = "singleValueExtendedProperties/Any(ep: ep/id eq '" + simulator.QueueProperty + "' and ep/value eq 'Q1')"

// list returns the items that a look-up finds, below /messages or a folder, with the queue
// property expanded.
func (c *client) list(folder, filter string) []object {
	c.t.Helper()
	if folder != "" {
		folder = "/mailFolders/" + folder
	}
	r := c.get(folder + "/messages?$select=id,isDraft&$expand=" +
		url.QueryEscape("singleValueExtendedProperties($filter=id eq '"+simulator.QueueProperty+"')") + "&$filter=" + url.QueryEscape(filter))
	c.want(r, 200, "")
	var list []object
	for _, v := range r.object()["value"].([]any) {
		list = append(list, v.(object))
	}
	return list
}

// draftWithProperty creates a draft that the filter marked finds.
func (c *client) draftWithProperty() string {
	c.t.Helper()
	return c.draft(with(plain("ours"), "singleValueExtendedProperties", []object{{"id": simulator.QueueProperty, "value": "Q1"}}))
}

func (c *client) remove(id string) reply {
	c.t.Helper()
	return c.do(c.request("DELETE", "/messages/"+id, "", nil))
}

func (c *client) purge(id string) reply {
	c.t.Helper()
	return c.do(c.request("POST", "/messages/"+id+"/permanentDelete", "", nil))
}

func TestExpandBesideFilterInAFolder(t *testing.T) {
	c := in(t, simulator.World{})
	id := c.draftWithProperty()
	list := c.list("drafts", marked)
	if len(list) != 1 || list[0]["id"] != id || list[0]["singleValueExtendedProperties"].([]any)[0].(object)["value"] != "Q1" {
		t.Errorf("drafts %v", list)
	}
	c.want(c.send(id), 202, "")
	if drafts, sent := c.list("drafts", marked), c.list("sentitems", marked); len(drafts) != 0 || len(sent) != 1 || sent[0]["id"] != id {
		t.Errorf("drafts %v, sent items %v", drafts, sent)
	}
	c.change(func(w *simulator.World) { w.ExpandIgnored = true })
	if sent := c.list("sentitems", marked); len(sent) != 1 || sent[0]["singleValueExtendedProperties"] != nil {
		t.Errorf("sent items %v", sent)
	}
}

func TestFilterLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{World: simulator.World{FilterLag: 4 * time.Second}})
		id := c.draftWithProperty()
		byID := "internetMessageId eq '" + c.get("/messages/"+id).field("internetMessageId") + "'"
		time.Sleep(3 * time.Second)
		if a, b, all := c.list("", marked), c.list("", byID), c.list("", "isDraft eq true"); len(a)+len(b) != 0 || len(all) != 1 {
			t.Errorf("found %v %v, want only %v", a, b, all)
		}
		time.Sleep(time.Second)
		if a, b := c.list("", marked), c.list("", byID); len(a) != 1 || len(b) != 1 {
			t.Errorf("found %v %v", a, b)
		}
	})
}

func TestFilterIgnored(t *testing.T) {
	c := in(t, simulator.World{FilterIgnored: true})
	if _, err := c.sim.Plant(simulator.Message{Mailbox: mailbox, Subject: "an owner's draft", Created: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	newest := c.draftWithProperty()
	list := c.list("drafts", marked)
	if len(list) != 2 || list[0]["id"] != newest || list[1]["singleValueExtendedProperties"] != nil {
		t.Errorf("found %v", list)
	}
}

func TestFilterRefused(t *testing.T) {
	for status, code := range map[int]string{400: "InefficientFilter", 501: "NotImplemented", 504: "UnknownError"} {
		c := in(t, simulator.World{FilterStatus: status})
		id := c.draftWithProperty()
		query := "/messages?$filter=" + url.QueryEscape(marked)
		c.want(c.get(query), status, code)
		c.want(c.get("/mailFolders/drafts"+query), status, code)
		c.want(c.get("/messages/"+id), 200, "")
		c.want(c.get("/messages"), 200, "")
		c.change(func(w *simulator.World) { *w = simulator.World{WideFilterStatus: status} })
		c.want(c.get(query), status, code)
		c.want(c.get("/mailFolders/drafts"+query), 200, "")
	}
}

func TestListsOfAnInbox(t *testing.T) {
	c := in(t, simulator.World{})
	hour := time.Now().Add(-time.Hour).Truncate(time.Second)
	for n, subject := range []string{"first", "second", "third"} {
		if _, err := c.sim.Plant(simulator.Message{Mailbox: mailbox, Folder: simulator.Inbox, Subject: subject, Unread: n > 0, Created: hour.Add(time.Duration(n) * time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	since := hour.Add(time.Minute).UTC().Format(time.RFC3339)
	for filter, want := range map[string]int{"receivedDateTime ge " + since: 2, "receivedDateTime gt " + since: 1, "receivedDateTime le " + since + " and isRead eq false": 1,
		"isRead eq true": 1} {
		if got := c.list("inbox", filter); len(got) != want {
			t.Errorf("%s: %v, want %d", filter, got, want)
		}
	}
	first := func(order string) any {
		return c.get("/mailFolders/inbox/messages?$orderby=" + url.QueryEscape(order)).object()["value"].([]any)[0].(object)["subject"]
	}
	if first("receivedDateTime desc") != "third" || first("receivedDateTime") != "first" {
		t.Errorf("%v, %v", first("receivedDateTime desc"), first("receivedDateTime"))
	}
	c.want(c.get("/messages?$filter="+url.QueryEscape("receivedDateTime ge yesterday")), 400, "BadRequest")
}

func TestNewIDOnSend(t *testing.T) {
	c := in(t, simulator.World{NewIDOnSend: true})
	id := c.draftWithProperty()
	c.want(c.send(id), 202, "")
	c.want(c.get("/messages/"+id), 404, "ErrorItemNotFound")
	sent := c.list("sentitems", marked)
	if len(sent) != 1 || sent[0]["id"] == id {
		t.Fatalf("sent items %v", sent)
	}
	c.want(c.get("/messages/"+sent[0]["id"].(string)), 200, "")
	if l := c.sim.Ledger(); len(l) != 1 || l[0].MessageID != id {
		t.Errorf("ledger %+v", l)
	}
}

func TestSendChangesTheItem(t *testing.T) {
	c := in(t, simulator.World{NewMessageIDOnSend: true, SendLosesProperties: true})
	id := c.draftWithProperty()
	messageID := c.get("/messages/" + id).field("internetMessageId")
	c.want(c.send(id), 202, "")
	if found := c.list("sentitems", marked); len(found) != 0 {
		t.Errorf("found by the property: %v", found)
	}
	if got := c.get("/messages/" + id).field("internetMessageId"); got == messageID || got == "" {
		t.Errorf("internetMessageId %q", got)
	}
	if l := c.sim.Ledger(); l[0].QueueID != "Q1" || l[0].InternetMessageID != messageID {
		t.Errorf("ledger %+v", l)
	}
}

func TestPagesOfAList(t *testing.T) {
	c := in(t, simulator.World{})
	for range 5 {
		c.draft(plain("s"))
	}
	seen := map[any]bool{}
	next := c.base + "/v1.0/users/" + mailbox + "/messages?$top=2&$select=id"
	for pages := 0; next != ""; pages++ {
		req := c.request("GET", "", "", nil)
		u, err := url.Parse(next)
		if err != nil || pages > 2 {
			t.Fatalf("page %d, %v", pages, err)
		}
		req.URL = u
		r := c.do(req)
		c.want(r, 200, "")
		for _, v := range r.object()["value"].([]any) {
			seen[v.(object)["id"]] = true
		}
		next = r.field("@odata.nextLink")
	}
	if len(seen) != 5 {
		t.Errorf("%d items on the pages, want 5", len(seen))
	}
}

func TestSoftDelete(t *testing.T) {
	c := in(t, simulator.World{DeleteTo: simulator.DeleteToRecoverable})
	id := c.draftWithProperty()
	c.want(c.remove(id), 204, "")
	if r := c.get("/messages/" + id); r.status != 200 || r.object()["isDraft"] != true {
		t.Errorf("%d %s", r.status, r.body)
	}
	c.want(c.remove(id), 403, "ErrorCannotDeleteObject")
	c.want(c.send(id), 404, "ErrorItemNotFound")
	c.want(c.patch(id, object{"subject": "x"}), 404, "ErrorItemNotFound")
	if wide, there := c.list("", marked), c.list("recoverableitemsdeletions", marked); len(wide) != 0 || len(there) != 1 {
		t.Errorf("in the mailbox %v, recoverable %v", wide, there)
	}
	folders := c.sim.Stats().Folders
	if folders[simulator.RecoverableItems] != 1 || folders[simulator.Drafts] != 0 {
		t.Errorf("folders %v", folders)
	}
	c.want(c.purge(id), 204, "")
	c.want(c.get("/messages/"+id), 200, "")
	c.want(c.purge(id), 403, "ErrorCannotDeleteObject")
	c.want(c.remove(id), 403, "ErrorCannotDeleteObject")
	if folders := c.sim.Stats().Folders; folders[simulator.RecoverableItems] != 0 || folders[simulator.Purges] != 1 {
		t.Errorf("folders %v", folders)
	}
}

func TestDeleteToDeletedItems(t *testing.T) {
	c := in(t, simulator.World{DeleteTo: simulator.DeleteToDeleted})
	id := c.draftWithProperty()
	c.want(c.remove(id), 204, "")
	if wide, there := c.list("", marked), c.list("deleteditems", marked); len(wide) != 1 || len(there) != 1 || wide[0]["isDraft"] != true {
		t.Errorf("in the mailbox %v, deleted %v", wide, there)
	}
	c.want(c.remove(id), 204, "")
	c.want(c.remove(id), 403, "ErrorCannotDeleteObject")
}

func TestPermanentDelete(t *testing.T) {
	c := in(t, simulator.World{})
	id := c.draft(plain("s"))
	c.want(c.purge(id), 204, "")
	c.want(c.get("/messages/"+id), 404, "ErrorItemNotFound")
	c = in(t, simulator.World{NoPermanentDelete: true})
	id = c.draft(plain("s"))
	c.want(c.purge(id), 400, "BadRequest")
	c.change(func(w *simulator.World) { w.MissingStatus = 404 })
	c.want(c.purge(id), 404, "BadRequest")
	c.want(c.get("/messages/"+id), 200, "")
}

// A message that is deleted while it is being sent stays where it was deleted to.
func TestDeleteWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{InFlight: simulator.InFlightDraft, World: simulator.World{DeleteTo: simulator.DeleteToRecoverable}})
		id := c.draft(plain("s"))
		c.want(c.send(id), 202, "")
		c.want(c.remove(id), 204, "")
		time.Sleep(time.Second)
		if folders := c.sim.Stats().Folders; folders[simulator.RecoverableItems] != 1 || folders[simulator.SentItems] != 0 || len(c.sim.Ledger()) != 1 {
			t.Errorf("folders %v", folders)
		}
	})
}

func TestCloudWithoutUploadSessions(t *testing.T) {
	c := in(t, simulator.World{NoUploadSessions: true})
	id := c.draft(plain("s"))
	large := object{"attachmentType": "file", "name": "f", "size": 4_000_000}
	c.want(c.session(id, large), 400, "BadRequest")
	c.change(func(w *simulator.World) { w.MissingStatus = 404 })
	c.want(c.session(id, large), 404, "BadRequest")
	c.change(func(w *simulator.World) { *w = simulator.World{} })
	c.want(c.session(id, large), 201, "")
}

func TestCloudWithoutMessageHeaders(t *testing.T) {
	names := []string{"internetMessageHeaders"}
	c := in(t, simulator.World{RefusedProperties: names})
	message := with(plain("s"), "internetMessageHeaders", headers("X-One"))
	c.want(c.json("POST", "/messages", message), 400, "RequestBodyRead")
	c.want(c.json("POST", "/sendMail", object{"message": message}), 400, "RequestBodyRead")
	c.draft(plain("without"))
	c.change(func(w *simulator.World) { *w = simulator.World{DroppedProperties: names} })
	c.draft(message)
	for _, m := range c.sim.Drafts() {
		if len(m.Headers) != 0 {
			t.Errorf("kept %v", m.Headers)
		}
	}
}

func TestTenantMessageSize(t *testing.T) {
	c := in(t, simulator.World{MessageSize: 5000})
	fill := func() string {
		id := c.draft(plain("s"))
		c.want(c.json("POST", "/messages/"+id+"/attachments", file("a", make([]byte, 4000))), 201, "")
		return id
	}
	id := fill()
	c.want(c.json("POST", "/messages/"+id+"/attachments", file("b", make([]byte, 2000))), 201, "")
	c.want(c.send(id), 400, "ErrorMessageSizeExceeded")
	c.change(func(w *simulator.World) { w.SizeAtAttachment = true })
	id = fill()
	c.want(c.json("POST", "/messages/"+id+"/attachments", file("b", make([]byte, 2000))), 413, "ErrorMessageSizeExceeded")
	c.want(c.send(id), 202, "")

	c = start(t, simulator.Options{Limits: simulator.Limits{SessionMin: 10}, World: simulator.World{MessageSize: 2000, SizeAtAttachment: true}})
	id = c.draft(plain("s"))
	r := c.session(id, object{"attachmentType": "file", "name": "f", "size": 2500})
	c.want(r, 201, "")
	c.want(c.putRange(r.field("uploadUrl"), make([]byte, 1000), 0, 2500), 200, "")
	c.want(c.putRange(r.field("uploadUrl"), make([]byte, 1500), 1000, 2500), 413, "ErrorMessageSizeExceeded")
}

func TestUnresolvedRecipient(t *testing.T) {
	c := in(t, simulator.World{Unresolved: []string{"ben@fabrikam.test"}})
	c.want(c.send(c.draft(plain("s"))), 400, "ErrorInvalidRecipients")
	c.want(c.send(c.draft(with(plain("s"), "toRecipients", to("eve@fabrikam.test")))), 202, "")
}
