package simulator_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
)

const mailbox = "anna@contoso.test"

// client makes requests to a simulator, like an app.
type client struct {
	t      *testing.T
	sim    *simulator.Simulator
	base   string
	token  string
	header http.Header // added to each mail call
	http   *http.Client
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func start(t *testing.T, options simulator.Options) *client {
	t.Helper()
	sim := simulator.New(options)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	t.Cleanup(sim.Close)
	return connect(t, sim, server.URL, http.DefaultClient)
}

// startDirect calls the handler without a network, so that a test in a synctest bubble
// controls the clock.
func startDirect(t *testing.T, options simulator.Options) *client {
	t.Helper()
	sim := simulator.New(options)
	return connect(t, sim, "http://graph.test", &http.Client{Transport: direct{sim}})
}

func connect(t *testing.T, sim *simulator.Simulator, base string, over *http.Client) *client {
	t.Helper()
	c := &client{t: t, sim: sim, base: base, header: http.Header{"Prefer": {`IdType="ImmutableId"`}}, http: over}
	c.token = c.newToken("app-1")
	return c
}

type direct struct{ handler http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Host = req.URL.Host
	if req.Body == nil {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Length", fmt.Sprint(req.ContentLength))
	recorder := httptest.NewRecorder()
	d.handler.ServeHTTP(recorder, req)
	return recorder.Result(), nil
}

func (c *client) newToken(app string) string {
	c.t.Helper()
	r := c.form(url.Values{"client_id": {app}, "client_secret": {"simulated"}, "grant_type": {"client_credentials"},
		"scope": {"https://graph.microsoft.com/.default"}})
	c.want(r, 200, "")
	return r.field("access_token")
}

func (c *client) form(values url.Values) reply {
	c.t.Helper()
	req, err := http.NewRequest("POST", c.base+"/tenant-1/oauth2/v2.0/token", strings.NewReader(values.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(req)
}

func (c *client) do(req *http.Request) reply {
	c.t.Helper()
	r, err := c.try(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return r
}

func (c *client) try(req *http.Request) (reply, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, body}, err
}

// request makes a mail request. path follows /v1.0/users/<mailbox>.
func (c *client) request(method, path, contentType string, body []byte) *http.Request {
	c.t.Helper()
	req, err := http.NewRequest(method, c.base+"/v1.0/users/"+mailbox+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

func (c *client) json(method, path string, value any) reply {
	c.t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(c.request(method, path, "application/json", body))
}

func (c *client) get(path string) reply { c.t.Helper(); return c.do(c.request("GET", path, "", nil)) }

func (c *client) send(id string) reply {
	c.t.Helper()
	return c.do(c.request("POST", "/messages/"+id+"/send", "", nil))
}

// want checks the status and the error code, which is "" for none.
func (c *client) want(r reply, status int, code string) {
	c.t.Helper()
	if r.status != status || r.code() != code {
		c.t.Fatalf("got %d %q, want %d %q; body: %.300s", r.status, r.code(), status, code, r.body)
	}
}

func (r reply) code() string {
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	json.Unmarshal(r.body, &body)
	var nested struct {
		Code string `json:"code"`
	}
	var flat string
	if json.Unmarshal(body.Error, &flat) == nil {
		return flat
	}
	json.Unmarshal(body.Error, &nested)
	return nested.Code
}

func (r reply) object() map[string]any {
	var object map[string]any
	json.Unmarshal(r.body, &object)
	return object
}

func (r reply) field(name string) string { s, _ := r.object()[name].(string); return s }

type object = map[string]any

func to(addresses ...string) []object {
	var list []object
	for _, a := range addresses {
		list = append(list, object{"emailAddress": object{"address": a}})
	}
	return list
}

// plain returns a message that can be sent.
func plain(subject string) object {
	return object{"subject": subject, "body": object{"contentType": "Text", "content": "Hello"}, "toRecipients": to("ben@fabrikam.test")}
}

func (c *client) draft(message object) string {
	c.t.Helper()
	r := c.json("POST", "/messages", message)
	c.want(r, 201, "")
	return r.field("id")
}

func file(name string, content []byte) object {
	return object{"@odata.type": "#microsoft.graph.fileAttachment", "name": name, "contentType": "text/plain",
		"contentBytes": base64.StdEncoding.EncodeToString(content)}
}

// settled waits until n items are in Sent Items.
func (c *client) settled(n int) []simulator.Message {
	c.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if sent := c.sim.Sent(); len(sent) == n {
			return sent
		}
	}
	c.t.Fatalf("%d items in Sent Items, want %d", len(c.sim.Sent()), n)
	return nil
}

// putRange sends one part of a file to an upload URL.
func (c *client) putRange(url string, content []byte, first, total int) reply {
	c.t.Helper()
	req, err := http.NewRequest("PUT", url, bytes.NewReader(content))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+len(content)-1, total))
	return c.do(req)
}

func (c *client) session(id string, item object) reply {
	c.t.Helper()
	return c.json("POST", "/messages/"+id+"/attachments/createUploadSession", object{"AttachmentItem": item})
}
