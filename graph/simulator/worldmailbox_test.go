package simulator_test

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

func TestFromNeedsSendAs(t *testing.T) {
	other := with(plain("s"), "from", to("other@contoso.test")[0])
	c := in(t, simulator.World{})
	c.want(c.send(c.draft(other)), 202, "")
	c.change(func(w *simulator.World) { w.SendAsOnly = true })
	c.want(c.send(c.draft(other)), 403, "ErrorSendAsDenied")
	c.want(c.send(c.draft(plain("own"))), 202, "")
}

func TestFromIsRewritten(t *testing.T) {
	users := []simulator.User{{Address: mailbox, Aliases: []string{"alarm@contoso.test"}, Data: map[string]string{"displayName": "Anna Example"}}}
	message := with(plain("s"), "from", object{"emailAddress": object{"name": "Alarm Panel", "address": "Alarm@contoso.test"}})
	for want, w := range map[string]simulator.World{
		"Alarm Panel <Alarm@contoso.test>":  {},
		"Alarm Panel <anna@contoso.test>":   {RewriteAlias: true},
		"Anna Example <Alarm@contoso.test>": {ReplaceFromName: true},
		"Anna Example <anna@contoso.test>":  {RewriteAlias: true, ReplaceFromName: true},
	} {
		c := start(t, simulator.Options{SendDelay: -1, Users: users, World: w})
		c.want(c.send(c.draft(message)), 202, "")
		d, sent := c.sim.Ledger()[0], c.sim.Sent()[0]
		if got := d.FromName + " <" + d.From + ">"; got != want || sent.From.Address != d.From || sent.From.Name != d.FromName || *sent.Sender != *sent.From {
			t.Errorf("the ledger has %s, the sent item %v %v, want %s", got, sent.From, sent.Sender, want)
		}
	}
}

func TestRecipientsAreResolved(t *testing.T) {
	users := []simulator.User{{Address: "ben@contoso.test", Aliases: []string{"b@contoso.test"}, Data: map[string]string{"displayName": "Ben Example"}}}
	c := start(t, simulator.Options{Users: users, World: simulator.World{ResolveRecipients: true}})
	c.draft(with(plain("s"), "toRecipients", to("B@contoso.test", "eve@fabrikam.test")))
	got := c.sim.Drafts()[0].To
	if len(got) != 2 || got[0] != (simulator.Address{Name: "Ben Example", Address: "ben@contoso.test"}) || got[1].Address != "eve@fabrikam.test" {
		t.Errorf("recipients %v", got)
	}
}

func TestUserPrincipalName(t *testing.T) {
	const upn = "anna.example@contoso.onmicrosoft.test"
	o := simulator.Options{SendDelay: -1, Users: []simulator.User{{Address: mailbox, UPN: upn}}, Apps: []simulator.App{{Roles: []string{"Mail.ReadWrite", "User.Read.All"}}}}
	c := start(t, o)
	under := func(key string) reply {
		req := c.request("GET", "", "", nil)
		req.URL.Path = "/v1.0/users/" + key + "/messages"
		return c.do(req)
	}
	find := func(filter string) []any {
		req := c.request("GET", "", "", nil)
		req.URL.Path, req.URL.RawQuery = "/v1.0/users", "$select=id,userPrincipalName,mail&$filter="+url.QueryEscape(filter)
		r := c.do(req)
		c.want(r, 200, "")
		return r.object()["value"].([]any)
	}
	c.draft(plain("s"))
	for filter, n := range map[string]int{"mail eq '" + mailbox + "'": 1, "userPrincipalName eq '" + upn + "'": 1,
		"mail eq '" + upn + "'": 0, "userPrincipalName eq '" + mailbox + "'": 0, "proxyAddresses/any(p:p eq 'SMTP:" + upn + "')": 0} {
		list := find(filter)
		if len(list) != n || n == 1 && (list[0].(object)["userPrincipalName"] != upn || list[0].(object)["mail"] != mailbox) {
			t.Errorf("%s: found %v, want %d", filter, list, n)
		}
	}
	id := find("mail eq '" + mailbox + "'")[0].(object)["id"].(string)
	for _, key := range []string{upn, id, mailbox} {
		if r := under(key); r.status != 200 || len(r.object()["value"].([]any)) != 1 {
			t.Errorf("%s: %d %s", key, r.status, r.body)
		}
	}
	c.change(func(w *simulator.World) { w.AddressIsNoKey = true })
	c.want(under(upn), 200, "")
	c.want(under(id), 200, "")
	c.want(under(mailbox), 404, "ErrorInvalidUser")
	c.want(under("ben@contoso.test"), 200, "")
}

func TestUserFilterLimits(t *testing.T) {
	c := start(t, simulator.Options{Apps: []simulator.App{{Roles: []string{"User.Read.All"}}}, World: simulator.World{UserValueLimit: 120}})
	find := func(filter string) reply {
		req := c.request("GET", "", "", nil)
		req.URL.Path, req.URL.RawQuery = "/v1.0/users", "$select=id&$filter="+url.QueryEscape(filter)
		return c.do(req)
	}
	long := strings.Repeat("a", 120-len("@contoso.test")) + "@contoso.test"
	c.want(find("mail eq '"+long+"'"), 200, "")
	c.want(find("mail eq 'a"+long+"'"), 400, "Request_UnsupportedQuery")
	both := "mail eq 'a@contoso.test' or userPrincipalName eq 'a@contoso.test'"
	c.want(find(both), 200, "")
	c.change(func(w *simulator.World) { w.NoUserOr = true })
	c.want(find(both), 400, "Request_UnsupportedQuery")
}

func TestMailboxElsewhere(t *testing.T) {
	c := in(t, simulator.World{Elsewhere: []string{"ANNA@contoso.test"}})
	c.want(c.json("POST", "/messages", plain("s")), 404, "ResourceNotFound")
	c.change(func(w *simulator.World) { w.Elsewhere = nil })
	c.draft(plain("s"))
}

func TestMailboxMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{World: simulator.World{Moving: []string{mailbox}, MoveDuration: time.Minute}})
		c.want(c.json("POST", "/messages", plain("s")), 400, "ErrorMailboxMoveInProgress")
		time.Sleep(time.Minute)
		id := c.draft(plain("s"))
		c.change(func(w *simulator.World) { w.MoveStatus, w.MoveDuration = 503, 0 })
		time.Sleep(30 * time.Minute)
		c.want(c.send(id), 503, "ErrorMailboxMoveInProgress")
	})
}

func TestPermissionCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{TokenLifetime: 24 * time.Hour, World: simulator.World{Denied: []string{mailbox}, PermissionCache: 30 * time.Minute}})
		grant := func() {
			c.change(func(w *simulator.World) { w.Denied = []string{mailbox} })
			c.want(c.get("/messages"), 403, "ErrorAccessDenied")
			c.change(func(w *simulator.World) { w.Denied = nil })
		}
		grant()
		for range 23 { // asking every five minutes keeps the refusal, for two hours
			time.Sleep(5 * time.Minute)
			c.want(c.get("/messages"), 403, "ErrorAccessDenied")
		}
		time.Sleep(5 * time.Minute)
		c.want(c.get("/messages"), 200, "")
		grant()
		time.Sleep(30 * time.Minute)
		c.want(c.get("/messages"), 200, "")
		c.change(func(w *simulator.World) { w.Denied, w.DeniedByPolicy = []string{"*"}, true })
		if r := c.get("/messages"); r.status != 403 || !strings.Contains(string(r.body), "[RAOP]") {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// deviceToken signs in with a device code.
func (c *client) deviceToken(account, scopes string) string {
	c.t.Helper()
	post := func(path string, values url.Values) reply {
		req, err := http.NewRequest("POST", c.base+path, strings.NewReader(values.Encode()))
		if err != nil {
			c.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r := c.do(req)
		c.want(r, 200, "")
		return r
	}
	device := post("/tenant-1/oauth2/v2.0/devicecode", url.Values{"client_id": {"app-1"}, "scope": {scopes}})
	post("/common/oauth2/deviceauth", url.Values{"user_code": {device.field("user_code")}, "account": {account}})
	return post("/tenant-1/oauth2/v2.0/token", url.Values{"client_id": {"app-1"}, "grant_type": {"urn:ietf:params:oauth:grant-type:device_code"},
		"device_code": {device.field("device_code")}}).field("access_token")
}

func TestSharedMailboxOfASigner(t *testing.T) {
	c := start(t, simulator.Options{FullAccess: map[string][]string{mailbox: {"ben@contoso.test"}}})
	signIn := func(account, scopes string) { t.Helper(); c.token = c.deviceToken(account, scopes) }
	signIn("ben@contoso.test", "Mail.ReadWrite Mail.Send")
	id := c.draft(plain("s"))
	large := object{"attachmentType": "file", "name": "f", "size": 4_000_000}
	c.want(c.session(id, large), 201, "")
	c.change(func(w *simulator.World) { w.NoSharedSessions = true })
	c.want(c.session(id, large), 403, "ErrorAccessDenied")

	c.change(func(w *simulator.World) { w.SharedScopes = true })
	c.want(c.json("POST", "/messages", plain("s")), 403, "ErrorAccessDenied")
	c.want(c.send(id), 403, "ErrorAccessDenied")
	signIn("ben@contoso.test", "Mail.ReadWrite.Shared Mail.Send.Shared")
	c.draft(plain("s"))
	c.want(c.send(id), 202, "")
	signIn(mailbox, "Mail.ReadWrite Mail.Send")
	c.want(c.session(c.draft(plain("own")), large), 201, "")
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{World: simulator.World{Pace: 3}})
		for range 7 {
			c.want(c.json("POST", "/sendMail", object{"message": plain("s")}), 202, "")
		}
		time.Sleep(time.Second)
		for _, want := range []int{3, 6, 7} {
			if sent := len(c.sim.Sent()); sent != want || len(c.sim.Drafts()) != 7-want {
				t.Errorf("%d sent, want %d", sent, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestReportsInTheInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{World: simulator.World{Returns: map[string]string{"Ben@fabrikam.test": "5.7.232"}, ReturnDelay: time.Minute}})
		message := with(plain("Grüße"), "internetMessageId", "<m1@contoso.test>")
		c.want(c.send(c.draft(with(message, "toRecipients", to("ben@fabrikam.test", "eve@fabrikam.test")))), 202, "")
		inbox := func() []any {
			return c.get("/mailFolders/inbox/messages?$select=subject,isRead,isDraft").object()["value"].([]any)
		}
		time.Sleep(59 * time.Second)
		if list := inbox(); len(list) != 0 {
			t.Errorf("early: %v", list)
		}
		time.Sleep(2 * time.Second)
		list := inbox()
		if len(list) != 1 || list[0].(object)["subject"] != "Undeliverable: Grüße" || list[0].(object)["isRead"] != false || list[0].(object)["isDraft"] != false {
			t.Fatalf("inbox %v", list)
		}
		checkReport(t, c, list[0].(object)["id"].(string), true)
		c.change(func(w *simulator.World) { w.BareReturns, w.ReturnDelay = true, 0 })
		c.want(c.send(c.draft(message)), 202, "")
		time.Sleep(time.Second)
		checkReport(t, c, inbox()[0].(object)["id"].(string), false)
	})
}

// checkReport checks the form of a report about <m1@contoso.test>. named is whether the report
// names the message outside of the returned header.
func checkReport(t *testing.T, c *client, id string, named bool) {
	t.Helper()
	shown := c.get("/messages/" + id + "?$select=internetMessageHeaders&$expand=" + url.QueryEscape("singleValueExtendedProperties($filter=id eq 'String 0x001A')"))
	if s := string(shown.body); !strings.Contains(s, "REPORT.IPM.Note.NDR") || strings.Contains(s, `"name":"In-Reply-To","value":"\u003cm1@contoso.test\u003e"`) != named {
		t.Errorf("shown %s", s)
	}
	r := c.get("/messages/" + id + "/$value")
	c.want(r, 200, "")
	message, err := mail.ReadMessage(strings.NewReader(string(r.body)))
	if err != nil {
		t.Fatal(err)
	}
	mediaType, parameters, _ := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if mediaType != "multipart/report" || parameters["report-type"] != "delivery-status" || (message.Header.Get("In-Reply-To") == "<m1@contoso.test>") != named {
		t.Errorf("header %v", message.Header)
	}
	parts := map[string]string{}
	for reader := multipart.NewReader(message.Body, parameters["boundary"]); ; {
		part, err := reader.NextPart()
		if err != nil {
			break
		}
		content, _ := io.ReadAll(part)
		parts[part.Header.Get("Content-Type")] = string(content)
	}
	status := parts["message/delivery-status"]
	if !strings.Contains(status, "Final-Recipient: rfc822;ben@fabrikam.test\r\nAction: failed\r\nStatus: 5.7.232\r\n") ||
		strings.Contains(status, "Original-Message-ID: <m1@contoso.test>") != named {
		t.Errorf("status %q", status)
	}
	if !strings.Contains(parts["message/rfc822"], "Message-ID: <m1@contoso.test>\r\n") {
		t.Errorf("parts %q", parts)
	}
}

// One report has all recipients that were refused, in whatever form, and only they.
func TestReportOfSeveralRecipients(t *testing.T) {
	for _, odd := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := startDirect(t, simulator.Options{World: simulator.World{OddReturns: odd, Returns: map[string]string{"ben@fabrikam.test": "5.1.10", "eve@fabrikam.test": "5.7.232"}}})
			message := with(plain("Grüße"), "internetMessageId", "<m1@contoso.test>")
			c.want(c.send(c.draft(with(message, "toRecipients", to("ben@fabrikam.test", "eve@fabrikam.test", "ada@fabrikam.test")))), 202, "")
			time.Sleep(time.Second)
			list := c.get("/mailFolders/inbox/messages?$select=subject").object()["value"].([]any)
			if len(list) != 1 {
				t.Fatalf("inbox %v", list)
			}
			raw := string(c.get("/messages/" + list[0].(object)["id"].(string) + "/$value").body)
			if strings.Count(raw, "Final-Recipient") != 2 || strings.Contains(raw, "ada@") ||
				strings.HasPrefix(list[0].(object)["subject"].(string), "Undeliverable") == odd {
				t.Errorf("%v\n%s", list, raw)
			}
		})
	}
}
