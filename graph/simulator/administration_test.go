package simulator_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"graphrelay/graph/simulator"
)

const (
	publicClient = "14d82eec-204b-4c2f-b7e8-296a70dab67e"
	graphAppID   = "00000003-0000-0000-c000-000000000000"
	mailSend     = "b633e1c5-b582-4048-a93e-9f11b44c7e96"
	adminScopes  = "https://graph.microsoft.com/Application.ReadWrite.All https://graph.microsoft.com/AppRoleAssignment.ReadWrite.All " +
		"https://graph.microsoft.com/Organization.Read.All openid profile offline_access"
	tenant = "contoso.test"
)

// pair is a key with its certificate.
type pair struct {
	key *rsa.PrivateKey
	der []byte
}

func newPair(t *testing.T, life time.Duration) pair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "graphrelay"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{key, der}
}

func (p pair) encoded() string { return base64.StdEncoding.EncodeToString(p.der) }

func (p pair) credential() object {
	return object{"type": "AsymmetricX509Cert", "usage": "Verify", "key": p.encoded()}
}

// proof returns a proof of possession, with some claims or header fields replaced.
func (p pair) proof(t *testing.T, objectID string, change map[string]any) string {
	t.Helper()
	now := time.Now()
	sum := sha1.Sum(p.der)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"aud": "00000002-0000-0000-c000-000000000000", "iss": objectID, "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()})
	token.Header["x5t"] = base64.RawURLEncoding.EncodeToString(sum[:])
	for name, value := range change {
		if name == "x5t" {
			token.Header[name] = value
		} else {
			token.Claims.(jwt.MapClaims)[name] = value
		}
	}
	signed, err := token.SignedString(p.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// login makes a request to the login host.
func (c *client) login(path string, values url.Values) reply {
	c.t.Helper()
	req, err := http.NewRequest("POST", c.base+path, strings.NewReader(values.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(req)
}

// appToken requests a token with a client assertion.
func (c *client) appToken(appID string, p pair) reply {
	c.t.Helper()
	now := time.Now()
	id := make([]byte, 8)
	rand.Read(id)
	token := jwt.NewWithClaims(jwt.SigningMethodPS256, jwt.MapClaims{"aud": "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token", "iss": appID, "sub": appID,
		"jti": hex.EncodeToString(id), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()})
	sum := sha256.Sum256(p.der)
	token.Header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(sum[:])
	signed, err := token.SignedString(crypto.Signer(p.key))
	if err != nil {
		c.t.Fatal(err)
	}
	return c.login("/"+tenant+"/oauth2/v2.0/token", url.Values{"client_id": {appID}, "grant_type": {"client_credentials"}, "client_assertion": {signed},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "scope": {"https://graph.microsoft.com/.default"}})
}

// signIn signs an account in with a device code, and returns the answer with the token.
func (c *client) signIn(account string) reply {
	c.t.Helper()
	r := c.login("/organizations/oauth2/v2.0/devicecode", url.Values{"client_id": {publicClient}, "scope": {adminScopes}})
	c.want(r, 200, "")
	c.login("/common/oauth2/deviceauth", url.Values{"user_code": {r.field("user_code")}, "account": {account}})
	return c.login("/organizations/oauth2/v2.0/token", url.Values{"client_id": {publicClient}, "device_code": {r.field("device_code")},
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}})
}

// graph makes a request to the directory.
func (c *client) graph(token, method, path string, value any) reply {
	c.t.Helper()
	var body []byte
	if value != nil {
		body, _ = json.Marshal(value)
	}
	req, err := http.NewRequest(method, c.base+"/v1.0"+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if value != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.do(req)
}

func (r reply) list() []any { list, _ := r.object()["value"].([]any); return list }

// item returns a field of an entry of a list.
func (r reply) item(n int, name string) string {
	entry, _ := r.list()[n].(map[string]any)
	value, _ := entry[name].(string)
	return value
}

// administrator signs in, and returns the token.
func (c *client) administrator() string {
	c.t.Helper()
	r := c.signIn("admin@contoso.test")
	c.want(r, 200, "")
	return r.field("access_token")
}

// An administrator registers an application with a certificate, which then sends mail, and
// renews its certificate.
func TestAdministration(t *testing.T) {
	c := start(t, simulator.Options{Mailboxes: []string{"contoso.test"}, SendDelay: -1})
	admin := c.administrator()
	if r := c.graph(admin, "GET", "/organization", nil); r.item(0, "id") == "" {
		t.Errorf("organization: %s", r.body)
	}
	first, second := newPair(t, time.Hour), newPair(t, time.Hour)
	r := c.graph(admin, "POST", "/applications", object{"displayName": "relay", "keyCredentials": []object{first.credential()},
		"requiredResourceAccess": []object{{"resourceAppId": graphAppID, "resourceAccess": []object{{"id": mailSend, "type": "Role"}}}}})
	c.want(r, 201, "")
	id, appID := r.field("id"), r.field("appId")
	c.want(c.appToken(appID, first), 400, "unauthorized_client") // no service principal
	r = c.graph(admin, "POST", "/servicePrincipals", object{"appId": appID})
	c.want(r, 201, "")
	principal := r.field("id")
	r = c.appToken(appID, first)
	c.want(r, 200, "")
	c.token = r.field("access_token")
	c.want(c.json("POST", "/sendMail", object{"message": plain("no role")}), 403, "ErrorAccessDenied")

	graph := c.graph(admin, "GET", "/servicePrincipals?$filter=appId%20eq%20'"+graphAppID+"'&$select=id,appRoles", nil).item(0, "id")
	grant := object{"principalId": principal, "resourceId": graph, "appRoleId": mailSend}
	c.want(c.graph(admin, "POST", "/servicePrincipals/"+principal+"/appRoleAssignments", grant), 201, "")
	c.want(c.graph(admin, "POST", "/servicePrincipals/"+principal+"/appRoleAssignments", grant), 400, "Request_BadRequest")
	own := c.appToken(appID, first).field("access_token")
	c.token = own
	c.want(c.json("POST", "/sendMail", object{"message": plain("role")}), 202, "")
	c.want(c.graph(own, "GET", "/applications/"+id, nil), 403, "Authorization_RequestDenied")

	add := object{"keyCredential": second.credential(), "passwordCredential": nil, "proof": first.proof(t, id, nil)}
	r = c.graph(own, "POST", "/applications(appId='"+appID+"')/addKey", add)
	c.want(r, 200, "")
	c.want(c.appToken(appID, second), 200, "")
	shown := c.graph(admin, "GET", "/applications/"+id+"?$select=keyCredentials", nil)
	if !strings.Contains(string(shown.body), second.encoded()) {
		t.Errorf("the certificate is not shown: %s", shown.body)
	}
	listed := c.graph(admin, "GET", "/applications?$filter=displayName%20eq%20'relay'&$select=id,keyCredentials", nil)
	if len(listed.list()) != 1 || strings.Contains(string(listed.body), second.encoded()) {
		t.Errorf("list: %s", listed.body)
	}
	keyID := c.sim.RegisteredApps()[0].Keys[0].KeyID
	remove := object{"keyId": keyID, "proof": second.proof(t, id, nil)}
	c.want(c.graph(own, "POST", "/applications/"+id+"/removeKey", remove), 204, "")
	c.want(c.graph(own, "POST", "/applications/"+id+"/removeKey", remove), 400, "Request_BadRequest")
	c.want(c.appToken(appID, first), 401, "invalid_client")
	c.want(c.graph(own, "POST", "/applications/"+id+"/addKey", add), 401, "Authentication_MissingOrMalformed") // by the removed key

	c.want(c.graph(admin, "DELETE", "/applications/"+id, nil), 204, "")
	c.want(c.appToken(appID, second), 400, "unauthorized_client")
	if r := c.graph(admin, "GET", "/directory/deletedItems/microsoft.graph.application", nil); len(r.list()) != 1 {
		t.Errorf("deleted items: %s", r.body)
	}
	c.want(c.graph(admin, "DELETE", "/directory/deletedItems/"+id, nil), 204, "")
	c.want(c.graph(admin, "GET", "/applications/"+id, nil), 404, "Request_ResourceNotFound")
}

func TestAdministrationRefused(t *testing.T) {
	c := start(t, simulator.Options{Mailboxes: []string{"contoso.test"}, World: simulator.World{ClientConsented: true}})
	admin, nobody := c.administrator(), c.signIn("anna@contoso.test").field("access_token")
	known := newPair(t, time.Hour)
	id, appID, err := c.sim.RegisterApp("known", [][]byte{known.der})
	if err != nil {
		t.Fatal(err)
	}
	old := newPair(t, time.Second)
	own := c.appToken(appID, known).field("access_token")
	other, otherApp := newPair(t, time.Hour), newPair(t, time.Hour)
	_, otherID, _ := c.sim.RegisterApp("other", [][]byte{otherApp.der})
	stranger := c.appToken(otherID, otherApp).field("access_token")
	addKey := "/applications/" + id + "/addKey"
	roll := func(proof string) object { return object{"keyCredential": other.credential(), "proof": proof} }
	now := time.Now()
	for name, tt := range map[string]struct {
		token, method, path string
		body                any
		status              int
		code                string
	}{
		"no administrator":  {nobody, "POST", "/applications", object{"displayName": "x"}, 403, "Authorization_RequestDenied"},
		"an application":    {own, "POST", "/applications", object{"displayName": "x"}, 403, "Authorization_RequestDenied"},
		"no name":           {admin, "POST", "/applications", object{}, 400, "Request_BadRequest"},
		"unknown property":  {admin, "POST", "/applications", object{"displayName": "x", "y": 1}, 400, "Request_BadRequest"},
		"no JSON":           {admin, "POST", "/applications", "x", 400, "Request_BadRequest"},
		"no access":         {admin, "POST", "/applications", object{"displayName": "x", "requiredResourceAccess": 1}, 400, "Request_BadRequest"},
		"expired":           {admin, "PATCH", "/applications/" + id, object{"keyCredentials": []object{{"type": "AsymmetricX509Cert", "usage": "Verify", "key": old.encoded(), "endDateTime": "2001-01-01T00:00:00Z"}}}, 400, "Request_BadRequest"},
		"unknown":           {admin, "GET", "/applications/" + appID, nil, 404, "Request_ResourceNotFound"}, // not by the client id
		"by client id":      {admin, "GET", "/applications(appId='" + appID + "')", nil, 200, ""},
		"filter":            {admin, "GET", "/applications?$filter=startswith(displayName,'a')", nil, 400, "Request_UnsupportedQuery"},
		"bad client id":     {admin, "GET", "/applications?$filter=appId%20eq%20'x'", nil, 400, "Request_BadRequest"},
		"option":            {admin, "GET", "/applications?$orderby=displayName", nil, 400, "Request_UnsupportedQuery"},
		"no application":    {admin, "POST", "/servicePrincipals", object{"appId": "11111111-1111-1111-1111-111111111111"}, 400, "NoBackingApplicationObject"},
		"two principals":    {admin, "POST", "/servicePrincipals", object{"appId": appID}, 409, "Request_MultipleObjectsWithSameKeyValue"},
		"no principal":      {admin, "POST", "/servicePrincipals/" + id + "/appRoleAssignments", object{}, 404, "Request_ResourceNotFound"},
		"Graph itself":      {admin, "DELETE", "/servicePrincipals(appId='" + graphAppID + "')", nil, 403, "Authorization_RequestDenied"},
		"no token":          {"", "GET", "/organization", nil, 401, "InvalidAuthenticationToken"},
		"no proof":          {own, "POST", addKey, roll(""), 401, "Authentication_MissingOrMalformed"},
		"audience":          {own, "POST", addKey, roll(known.proof(t, id, object{"aud": graphAppID})), 401, "Authentication_MissingOrMalformed"},
		"issuer":            {own, "POST", addKey, roll(known.proof(t, appID, nil)), 401, "Authentication_MissingOrMalformed"},
		"old proof":         {own, "POST", addKey, roll(known.proof(t, id, object{"nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(-time.Minute).Unix()})), 401, "Authentication_MissingOrMalformed"},
		"long proof":        {own, "POST", addKey, roll(known.proof(t, id, object{"exp": now.Add(time.Hour).Unix()})), 401, "Authentication_MissingOrMalformed"},
		"no nbf":            {own, "POST", addKey, roll(known.proof(t, id, object{"nbf": nil})), 401, "Authentication_MissingOrMalformed"},
		"unnamed key":       {own, "POST", addKey, roll(known.proof(t, id, object{"x5t": "x"})), 401, "Authentication_MissingOrMalformed"},
		"another key":       {own, "POST", addKey, roll(other.proof(t, id, nil)), 401, "Authentication_MissingOrMalformed"},
		"another's":         {stranger, "POST", addKey, roll(known.proof(t, id, nil)), 403, "Authorization_RequestDenied"},
		"no key":            {own, "POST", addKey, object{"proof": known.proof(t, id, nil)}, 400, "Request_BadRequest"},
		"key is there":      {own, "POST", addKey, object{"proof": known.proof(t, id, nil), "keyCredential": known.credential()}, 400, "Request_BadRequest"},
		"key of other type": {own, "POST", addKey, object{"proof": known.proof(t, id, nil), "keyCredential": object{"type": "Symmetric", "usage": "Verify", "key": other.encoded()}}, 400, "Request_BadRequest"},
	} {
		if r := c.graph(tt.token, tt.method, tt.path, tt.body); r.status != tt.status || r.code() != tt.code {
			t.Errorf("%s: %d %q, want %d %q: %.300s", name, r.status, r.code(), tt.status, tt.code, r.body)
		}
	}
	if err := c.sim.ChangeWorld(func(w *simulator.World) { w.KeyRollDenied = true }); err != nil {
		t.Fatal(err)
	}
	c.want(c.graph(own, "POST", addKey, roll(known.proof(t, id, nil))), 403, "Authorization_RequestDenied")
}

// What is new in the directory takes effect later.
func TestDirectoryLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{Mailboxes: []string{"contoso.test"}, SendDelay: -1, World: simulator.World{
			DirectoryLag: 10 * time.Second, KeyLag: 20 * time.Second, GrantLag: time.Minute, RBACLag: time.Hour, HexKeyIdentifiers: true}})
		admin, first, second := c.administrator(), newPair(t, 24*time.Hour), newPair(t, 24*time.Hour)
		r := c.graph(admin, "POST", "/applications", object{"displayName": "relay", "keyCredentials": []object{first.credential()}})
		id, appID := r.field("id"), r.field("appId")
		sum := sha1.Sum(first.der)
		if !strings.Contains(string(r.body), strings.ToUpper(hex.EncodeToString(sum[:]))) {
			t.Errorf("the identifier is not in hex: %s", r.body)
		}
		c.want(c.graph(admin, "GET", "/applications/"+id, nil), 404, "Request_ResourceNotFound")
		c.want(c.graph(admin, "POST", "/servicePrincipals", object{"appId": appID}), 400, "NoBackingApplicationObject")
		time.Sleep(10 * time.Second)
		c.want(c.graph(admin, "GET", "/applications/"+id, nil), 200, "")
		principal := c.graph(admin, "POST", "/servicePrincipals", object{"appId": appID}).field("id")
		c.want(c.appToken(appID, first), 400, "unauthorized_client")
		time.Sleep(10 * time.Second)
		c.want(c.appToken(appID, first), 200, "")
		graph := c.graph(admin, "GET", "/servicePrincipals(appId='"+graphAppID+"')", nil).field("id")
		c.want(c.graph(admin, "POST", "/servicePrincipals/"+graph+"/appRoleAssignedTo", object{"principalId": principal, "resourceId": graph, "appRoleId": mailSend}), 201, "")
		send := func(status int, code string) {
			t.Helper()
			r := c.appToken(appID, first)
			c.want(r, 200, "")
			c.token = r.field("access_token")
			c.want(c.json("POST", "/sendMail", object{"message": plain("x")}), status, code)
		}
		send(403, "ErrorAccessDenied")
		time.Sleep(time.Minute)
		send(202, "")
		own := c.token
		c.want(c.graph(own, "POST", "/applications/"+id+"/addKey", object{"keyCredential": second.credential(), "proof": first.proof(t, id, nil)}), 200, "")
		c.want(c.appToken(appID, second), 401, "invalid_client")
		time.Sleep(20 * time.Second)
		c.want(c.appToken(appID, second), 200, "")

		assigned := c.graph(admin, "GET", "/servicePrincipals/"+principal+"/appRoleAssignments", nil)
		c.want(c.graph(admin, "DELETE", "/servicePrincipals/"+principal+"/appRoleAssignments/"+assigned.item(0, "id"), nil), 204, "")
		c.sim.GrantRBAC(appID, []string{"Mail.Send"}, []string{mailbox})
		send(403, "ErrorAccessDenied")
		time.Sleep(time.Hour)
		send(202, "")
	})
}

// Who may sign in, and how.
func TestAdministratorsSignIn(t *testing.T) {
	c := start(t, simulator.Options{Mailboxes: []string{"contoso.test"}, Admins: []string{"root@elsewhere.test"}})
	c.want(c.signIn("root@elsewhere.test"), 200, "")
	c.want(c.signIn("anna@contoso.test"), 400, "access_denied")
	c.change(func(w *simulator.World) { w.DeviceCode = simulator.DeviceCodeSilent })
	c.want(c.signIn("root@elsewhere.test"), 400, "authorization_pending")
	c.change(func(w *simulator.World) { w.DeviceCode = simulator.DeviceCodeRefused })
	r := c.signIn("root@elsewhere.test")
	c.want(r, 400, "invalid_grant")
	if !strings.Contains(string(r.body), "AADSTS53003") {
		t.Errorf("refused with %s", r.body)
	}

	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	authorize := func(account, redirect string) *http.Response {
		t.Helper()
		form := url.Values{"client_id": {publicClient}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {adminScopes}, "state": {"s"}, "account": {account},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
		direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := direct.PostForm(c.base+"/organizations/oauth2/v2.0/authorize", form)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	const redirect = "http://localhost:12345"
	for _, other := range []string{"http://127.0.0.1:12345", "https://evil.test", "http://localhost.evil.test"} {
		if resp := authorize("root@elsewhere.test", other); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", other, resp.Status)
		}
	}
	if resp := authorize("anna@contoso.test", redirect); !strings.Contains(resp.Header.Get("Location"), "AADSTS90094") {
		t.Errorf("not an administrator: %s", resp.Header.Get("Location"))
	}
	back, err := url.Parse(authorize("root@elsewhere.test", redirect).Header.Get("Location"))
	if err != nil || back.Host != "localhost:12345" {
		t.Fatalf("sent to %s", back)
	}
	r = c.login("/organizations/oauth2/v2.0/token", url.Values{"client_id": {publicClient}, "grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"redirect_uri": {redirect}, "code_verifier": {verifier}})
	c.want(r, 200, "")
	if r := c.graph(r.field("access_token"), "GET", "/organization", nil); r.status != 200 {
		t.Errorf("organization: %s", r.body)
	}
	c.want(c.login("/organizations/oauth2/v2.0/token", url.Values{"client_id": {publicClient}, "grant_type": {"client_credentials"}, "client_secret": {"simulated"},
		"scope": {"https://graph.microsoft.com/.default"}}), 401, "invalid_client")
}
