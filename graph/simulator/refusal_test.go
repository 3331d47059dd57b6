package simulator_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

func with(message object, name string, value any) object {
	message[name] = value
	return message
}

func headers(names ...string) []object {
	list := []object{}
	for _, n := range names {
		list = append(list, object{"name": n, "value": "v"})
	}
	return list
}

func TestCreateRefusals(t *testing.T) {
	c := start(t, simulator.Options{})
	many := make([]string, 501)
	for n := range many {
		many[n] = "a@b.test"
	}
	for name, test := range map[string]struct {
		message any
		status  int
		code    string
	}{
		"misspelled property": {with(plain("s"), "toRecipient", to("a@b.test")), 400, "RequestBodyRead"},
		"wrong case":          {with(plain("s"), "Subject", "s"), 400, "RequestBodyRead"},
		"nested property":     {with(plain("s"), "body", object{"contenttype": "Text"}), 400, "RequestBodyRead"},
		"wrong type":          {with(plain("s"), "isRead", "yes"), 400, "RequestBodyRead"},
		"single recipient":    {with(plain("s"), "toRecipients", to("a@b.test")[0]), 400, "RequestBodyRead"},
		"importance":          {with(plain("s"), "importance", "urgent"), 400, "RequestBodyRead"},
		"content type":        {with(plain("s"), "body", object{"contentType": "text/html", "content": ""}), 400, "RequestBodyRead"},
		"no x- header":        {with(plain("s"), "internetMessageHeaders", headers("List-Id")), 400, "InvalidInternetMessageHeader"},
		"six headers":         {with(plain("s"), "internetMessageHeaders", headers("x-1", "x-2", "x-3", "x-4", "x-5", "x-6")), 400, "InvalidInternetMessageHeaderCollection"},
		"no headers":          {with(plain("s"), "internetMessageHeaders", headers()), 400, "InvalidInternetMessageHeaderCollection"},
		"501 recipients":      {with(plain("s"), "bccRecipients", to(many...)), 400, "ErrorInvalidRecipients"},
		"property id":         {with(plain("s"), "singleValueExtendedProperties", []object{{"id": "String graphrelay-id", "value": "1"}}), 400, "ErrorInvalidArgument"},
		"no attachment name":  {with(plain("s"), "attachments", []object{file("", nil)}), 400, "ErrorInvalidArgument"},
		"attachment type":     {with(plain("s"), "attachments", []object{{"name": "a", "contentBytes": ""}}), 400, "RequestBodyRead"},
		"over 4 MB":           {with(plain("s"), "body", object{"contentType": "Text", "content": strings.Repeat("x", 4_000_000)}), 413, "RequestEntityTooLarge"},
		"no object":           {[]int{1}, 400, "BadRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c.under(t)
			c.want(c.json("POST", "/messages", test.message), test.status, test.code)
		})
	}
	if drafts := c.sim.Drafts(); len(drafts) != 0 {
		t.Errorf("refused requests left %d drafts", len(drafts))
	}
}

// under returns the client for a subtest.
func (c *client) under(t *testing.T) *client {
	sub := *c
	sub.t = t
	return &sub
}

func TestRequestRefusals(t *testing.T) {
	c := start(t, simulator.Options{})
	id := c.draft(plain("s"))
	for name, test := range map[string]struct {
		change func(*http.Request)
		path   string
		body   string
		status int
		code   string
	}{
		"no token":        {func(r *http.Request) { r.Header.Del("Authorization") }, "/messages", "{}", 401, "InvalidAuthenticationToken"},
		"wrong token":     {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "/messages", "{}", 401, "InvalidAuthenticationToken"},
		"missing mailbox": {func(r *http.Request) { r.URL.Path = "/v1.0/users/missing@contoso.test/messages" }, "", "{}", 404, "ErrorInvalidUser"},
		"me":              {func(r *http.Request) { r.URL.Path = "/v1.0/me/messages" }, "", "{}", 400, "BadRequest"},
		"segment":         {nil, "/message", "{}", 400, "BadRequest"},
		"no content type": {func(r *http.Request) { r.Header.Del("Content-Type") }, "/messages", "{}", 400, "BadRequest"},
		"form":            {func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data") }, "/messages", "{}", 415, "UnsupportedMediaType"},
		"encoding":        {func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }, "/messages", "{}", 415, "UnsupportedMediaType"},
		"no JSON":         {nil, "/messages", "{", 400, "BadRequest"},
		"two values":      {nil, "/messages", "{}{}", 400, "BadRequest"},
		"MIME":            {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, "/messages", "Subject: x", 400, "ErrorMimeContentInvalidBase64String"},
		"MIME in folder":  {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, "/mailFolders/drafts/messages", "eA==", 400, "UnableToDeserializePostBody"},
		"folder":          {nil, "/mailFolders/outbox/messages", "{}", 404, "ErrorItemNotFound"},
		"unknown id":      {nil, "/messages/AAkAL/attachments", `{"@odata.type":"#microsoft.graph.fileAttachment","name":"a","contentBytes":""}`, 404, "ErrorItemNotFound"},
		"bad base64":      {nil, "/messages/" + id + "/attachments", `{"@odata.type":"#microsoft.graph.fileAttachment","name":"a","contentBytes":"?"}`, 400, "RequestBodyRead"},
		"null name":       {nil, "/messages/" + id + "/attachments", `{"@odata.type":"#microsoft.graph.fileAttachment","name":null,"contentBytes":""}`, 400, "ErrorInvalidArgument"},
		"no contentBytes": {nil, "/messages/" + id + "/attachments", `{"@odata.type":"#microsoft.graph.fileAttachment","name":"a"}`, 400, "ErrorInvalidArgument"},
		"send with body":  {nil, "/messages/" + id + "/send", "{}", 400, "BadRequest"},
		"send chunked":    {func(r *http.Request) { r.ContentLength = -1 }, "/messages/" + id + "/send", "{}", 411, "BadRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c.under(t)
			req := c.request("POST", test.path, "application/json", []byte(test.body))
			req.Header.Set("Client-Request-Id", "11111111-2222-3333-4444-555555555555")
			if test.change != nil {
				test.change(req)
			}
			r := c.do(req)
			c.want(r, test.status, test.code)
			if r.header.Get("Request-Id") == "" || r.header.Get("Client-Request-Id") != req.Header.Get("Client-Request-Id") || r.header.Get("Date") == "" {
				t.Errorf("headers of the answer: %v", r.header)
			}
		})
	}
	if n := len(c.sim.Ledger()); n != 0 {
		t.Errorf("%d sends in the ledger", n)
	}
}

func TestErrorBody(t *testing.T) {
	c := start(t, simulator.Options{})
	r := c.get("/messages/none")
	inner := r.object()["error"].(object)["innerError"].(object)
	if inner["request-id"] != r.header.Get("Request-Id") || inner["date"] == "" {
		t.Errorf("innerError %v, header %v", inner, r.header)
	}
}

func TestTokenRefusals(t *testing.T) {
	c := start(t, simulator.Options{Apps: []simulator.App{{Tenant: "tenant-1", ClientID: "app-1"}}})
	good := url.Values{"client_id": {"app-1"}, "client_secret": {"simulated"}, "grant_type": {"client_credentials"},
		"scope": {c.base + "/.default"}}
	c.want(c.form(good), 200, "")
	for name, test := range map[string]struct {
		field, value string
		status       int
		code         string
		number       string
	}{
		"secret":      {"client_secret", "wrong", 401, "invalid_client", "AADSTS7000215"},
		"no secret":   {"client_secret", "", 401, "invalid_client", "AADSTS7000218"},
		"client":      {"client_id", "app-2", 400, "unauthorized_client", "AADSTS700016"},
		"no client":   {"client_id", "", 400, "invalid_request", "AADSTS900144"},
		"grant":       {"grant_type", "password", 400, "unsupported_grant_type", "AADSTS70003"},
		"no .default": {"scope", "https://graph.microsoft.com/Mail.Send", 400, "invalid_scope", "AADSTS1002012"},
		"resource":    {"scope", "https://graph.example/.default", 400, "invalid_resource", "AADSTS500011"},
	} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{}
			for key, values := range good {
				form[key] = values
			}
			form.Set(test.field, test.value)
			c := c.under(t)
			r := c.form(form)
			c.want(r, test.status, test.code)
			if !strings.HasPrefix(r.field("error_description"), test.number+": ") || r.field("trace_id") == "" {
				t.Errorf("body %s", r.body)
			}
		})
	}
	req, _ := http.NewRequest("POST", c.base+"/tenant-2/oauth2/v2.0/token", strings.NewReader(good.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c.want(c.do(req), 400, "invalid_request")
}

func TestBasicAuthentication(t *testing.T) {
	apps := []simulator.App{{ClientID: "basic", Secret: "a+b/c"}, {}}
	c := start(t, simulator.Options{Apps: apps})
	for secret, status := range map[string]int{"a+b/c": 200, "a b/c": 401} {
		form := "grant_type=client_credentials&scope=" + url.QueryEscape("https://graph.microsoft.com/.default")
		req, err := http.NewRequest("POST", c.base+"/tenant-1/oauth2/v2.0/token", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("basic", url.QueryEscape(secret))
		if r := c.do(req); r.status != status {
			t.Errorf("secret %q: %d, want %d", secret, r.status, status)
		}
	}
}

func TestAssertion(t *testing.T) {
	c := start(t, simulator.Options{})
	form := func(claims string) url.Values {
		encode := base64.RawURLEncoding.EncodeToString
		return url.Values{"client_id": {"app-1"}, "grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {encode([]byte(`{"alg":"PS256"}`)) + "." + encode([]byte(claims)) + ".c2ln"}}
	}
	const rest = `"aud":"https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token","iss":"app-1",`
	c.want(c.form(form(`{`+rest+`"sub":"app-1","exp":4000000000}`)), 200, "")
	c.want(c.form(form(`{"aud":"api://AzureADTokenExchange","iss":"cluster","sub":"pod","exp":4000000000}`)), 200, "")
	c.want(c.form(form(`{`+rest+`"sub":"app-1","exp":1}`)), 401, "invalid_client")
	c.want(c.form(form(`{`+rest+`"sub":"app-2","exp":4000000000}`)), 401, "invalid_client")
}

func TestTokenLifetimeAndRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{TokenLifetime: time.Hour})
		c.want(c.get("/messages"), 200, "")
		time.Sleep(time.Hour + time.Second)
		c.want(c.get("/messages"), 401, "InvalidAuthenticationToken")
		c.token = c.newToken("app-1")
		c.sim.RevokeTokens()
		c.want(c.get("/messages"), 401, "InvalidAuthenticationToken")
	})
}

func TestRoles(t *testing.T) {
	c := start(t, simulator.Options{Apps: []simulator.App{
		{ClientID: "app-1", Roles: []string{"Mail.Send"}}, {ClientID: "app-2", Roles: []string{"Mail.ReadWrite"}}}})
	c.want(c.json("POST", "/messages", plain("s")), 403, "ErrorAccessDenied")
	c.want(c.get("/messages"), 403, "ErrorAccessDenied")
	c.want(c.json("POST", "/sendMail", object{"message": plain("s")}), 202, "")
	c.token = c.newToken("app-2")
	id := c.draft(plain("s"))
	c.want(c.send(id), 403, "ErrorAccessDenied")
}

func TestSendRefusals(t *testing.T) {
	c := start(t, simulator.Options{Limits: simulator.Limits{Message: 1000}})
	from := func(address string) object { return object{"emailAddress": object{"address": address}} }
	for name, test := range map[string]struct {
		message object
		status  int
		code    string
	}{
		"no recipients": {object{"subject": "s"}, 400, "ErrorInvalidRecipients"},
		"bad address":   {with(plain("s"), "ccRecipients", to("nobody")), 400, "ErrorInvalidRecipients"},
		"from":          {with(plain("s"), "from", from("unknown@contoso.test")), 403, "ErrorSendAsDenied"},
		"too large":     {with(plain("s"), "attachments", []object{file("a", make([]byte, 1000))}), 400, "ErrorMessageSizeExceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c.under(t)
			c.want(c.send(c.draft(test.message)), test.status, test.code)
			c.want(c.json("POST", "/sendMail", object{"message": test.message}), test.status, test.code)
		})
	}
	if n := len(c.sim.Ledger()); n != 0 {
		t.Errorf("%d sends in the ledger", n)
	}
}

func TestSendAsList(t *testing.T) {
	c := start(t, simulator.Options{SendAs: map[string][]string{mailbox: {"alias@contoso.test"}}})
	for address, want := range map[string]int{mailbox: 202, "Alias@contoso.test": 202, "other@contoso.test": 403} {
		message := with(plain("s"), "from", object{"emailAddress": object{"address": address}})
		if r := c.send(c.draft(message)); r.status != want {
			t.Errorf("from %s: %d, want %d", address, r.status, want)
		}
	}
}

func TestMailboxes(t *testing.T) {
	c := start(t, simulator.Options{Mailboxes: []string{"anna@contoso.test", "fabrikam.test"}})
	for address, want := range map[string]int{
		"ANNA@Contoso.Test": 200, "ben@contoso.test": 404, "any@fabrikam.test": 200, "unknown1@fabrikam.test": 404, "anna": 404,
	} {
		req := c.request("GET", "", "", nil)
		req.URL.Path = "/v1.0/users/" + address + "/messages"
		if r := c.do(req); r.status != want {
			t.Errorf("%s: %d, want %d", address, r.status, want)
		}
	}
}

func TestGzip(t *testing.T) {
	c := start(t, simulator.Options{})
	zip := func(text string) *http.Request {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		w.Write([]byte(text))
		w.Close()
		req := c.request("POST", "/messages", "application/json", packed.Bytes())
		req.Header.Set("Content-Encoding", "gzip")
		return req
	}
	c.want(c.do(zip(`{"subject":"packed"}`)), 201, "")
	c.want(c.do(zip(`{"subject":"`+strings.Repeat("x", 4_000_000)+`"}`)), 413, "RequestEntityTooLarge")
}
