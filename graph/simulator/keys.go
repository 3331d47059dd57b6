package simulator

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	certificateKey = "AsymmetricX509Cert"
	proofAudience  = "00000002-0000-0000-c000-000000000000"
	maxProofLife   = 10 * time.Minute
)

// keyJSON is a keyCredential in a request.
type keyJSON struct {
	ODataType   string     `json:"@odata.type"`
	ID          string     `json:"keyId"`
	Identifier  *string    `json:"customKeyIdentifier"`
	DisplayName string     `json:"displayName"`
	Type        string     `json:"type"`
	Usage       string     `json:"usage"`
	Key         string     `json:"key"`
	Start       *time.Time `json:"startDateTime"`
	End         *time.Time `json:"endDateTime"`
}

// newKey returns the key of a request. Its times are the certificate's, or others within
// them.
func newKey(j keyJSON) (keyCredential, error) {
	invalid := func(property string) (keyCredential, error) {
		return keyCredential{}, badRequest("Request_BadRequest", "The value for the property \"%s\" in one of your credentials is invalid.", property)
	}
	if j.Type != certificateKey {
		return invalid("type")
	}
	if j.Usage != "Verify" {
		return keyCredential{}, badRequest("Request_BadRequest", "The value for the property \"usage\" in one of your credentials is invalid. Acceptable values are Sign, Verify.")
	}
	der, err := base64.StdEncoding.DecodeString(j.Key)
	if err != nil {
		return invalid("key")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return invalid("key")
	}
	if _, ok := cert.PublicKey.(*rsa.PublicKey); !ok {
		return invalid("key")
	}
	k := keyCredential{id: j.ID, displayName: j.DisplayName, cert: cert, start: cert.NotBefore, end: cert.NotAfter, added: time.Now()}
	if k.identifier = thumbprint(cert); j.Identifier != nil {
		if k.identifier, err = base64.StdEncoding.DecodeString(*j.Identifier); err != nil || len(k.identifier) == 0 || len(k.identifier) > 32 {
			return keyCredential{}, badRequest("Request_BadRequest", "When present, application key identifier cannot be empty and can be at most 32 bytes.")
		}
	}
	if j.Start != nil {
		k.start = *j.Start
	}
	if j.End != nil {
		k.end = *j.End
	}
	switch {
	case k.start.Before(cert.NotBefore.Add(-time.Second)) || !k.start.Before(k.end):
		return keyCredential{}, badRequest("Request_BadRequest", "Key credential start date is invalid.")
	case k.end.After(cert.NotAfter.Add(time.Second)) || !k.end.After(time.Now()):
		return keyCredential{}, badRequest("Request_BadRequest", "Key credential end date is invalid.")
	}
	if k.id == "" {
		k.id = newGUID()
	}
	if !isGUID(k.id) {
		return invalid("keyId")
	}
	return k, nil
}

// thumbprint returns the SHA-1 of a certificate, by which Entra names it.
func thumbprint(cert *x509.Certificate) []byte {
	sum := sha1.Sum(cert.Raw)
	return sum[:]
}

// json returns the key as an answer has it. The certificate is shown only if the request
// selects keyCredentials of one object ("keyCredential resource type").
func (k keyCredential) json(w *settings, withKey bool) map[string]any {
	identifier := base64.StdEncoding.EncodeToString(k.identifier)
	if w.HexKeyIdentifiers {
		identifier = strings.ToUpper(hex.EncodeToString(k.identifier))
	}
	out := map[string]any{
		"customKeyIdentifier": identifier, "displayName": k.displayName, "keyId": k.id, "type": certificateKey, "usage": "Verify", "key": nil,
		"startDateTime": k.start.UTC().Format(time.RFC3339), "endDateTime": k.end.UTC().Format(time.RFC3339),
	}
	if withKey {
		out["key"] = base64.StdEncoding.EncodeToString(k.cert.Raw)
	}
	return out
}

// replaceKeys returns the list of keys that a PATCH or a create gives an application. An
// entry without a certificate keeps the key with its keyId.
func replaceKeys(old []keyCredential, wanted []keyJSON) ([]keyCredential, error) {
	if len(wanted) > maxKeys {
		return nil, badRequest("Request_BadRequest", "The application has too many credentials.")
	}
	list := []keyCredential{}
	for _, j := range wanted {
		kept := slices.IndexFunc(old, func(k keyCredential) bool { return j.ID != "" && strings.EqualFold(k.id, j.ID) })
		if kept >= 0 && (j.Key == "" || j.Key == base64.StdEncoding.EncodeToString(old[kept].cert.Raw)) {
			list = append(list, old[kept])
			continue
		}
		k, err := newKey(j)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

// addKey serves "application: addKey".
func (c *call) addKey() (response, error) {
	var body struct {
		Key      *keyJSON `json:"keyCredential"`
		Password any      `json:"passwordCredential"`
		Proof    string   `json:"proof"`
	}
	if err := c.readEntity(&body); err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	a, err := c.rolledApplication(body.Proof)
	if err != nil {
		return response{}, err
	}
	if body.Key == nil {
		return response{}, badRequest("Request_BadRequest", "A value is required for property 'keyCredential'.")
	}
	// [assumed]: no page says that addKey accepts a keyId of the client's.
	body.Key.ID = ""
	key, err := newKey(*body.Key)
	if err != nil {
		return response{}, err
	}
	// [assumed]: no source says what becomes of a key that is there already.
	if len(a.keys) >= maxKeys || slices.ContainsFunc(a.keys, func(k keyCredential) bool { return k.cert.Equal(key.cert) }) {
		return response{}, badRequest("Request_BadRequest", "The key credential exists already, or the application has too many.")
	}
	a.keys = append(a.keys, key)
	shown := key.json(c.sim.world(), false)
	shown["@odata.context"] = "https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.keyCredential"
	return jsonResponse(http.StatusOK, shown), nil
}

// removeKey serves "application: removeKey".
func (c *call) removeKey() (response, error) {
	var body struct {
		KeyID string `json:"keyId"`
		Proof string `json:"proof"`
	}
	if err := c.readEntity(&body); err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	a, err := c.rolledApplication(body.Proof)
	if err != nil {
		return response{}, err
	}
	n := slices.IndexFunc(a.keys, func(k keyCredential) bool { return strings.EqualFold(k.id, body.KeyID) })
	if n < 0 {
		return response{}, badRequest("Request_BadRequest", "No credentials found to be removed.")
	}
	a.keys = slices.Delete(a.keys, n, n+1)
	return emptyResponse(http.StatusNoContent), nil
}

// rolledApplication returns the application whose keys a request changes, after a check of
// its proof. An application needs no permission to change its own. The caller holds s.mu.
func (c *call) rolledApplication(proof string) (*application, error) {
	a, found := c.sim.findApplication(c.r.PathValue("id"))
	own := found && c.user == "" && strings.EqualFold(c.app, a.appID) && !c.sim.world().KeyRollDenied
	if !own && !c.mayAdminister("Application.ReadWrite.All", "Directory.ReadWrite.All") {
		return nil, requestDenied()
	}
	if !found {
		return nil, resourceNotFound(c.r.PathValue("id"))
	}
	if !a.proves(proof, c.sim.world()) {
		return nil, refuse(http.StatusUnauthorized, "Authentication_MissingOrMalformed", "Access Token missing or malformed.")
	}
	return a, nil
}

// proves reports whether the text is a proof of possession of one of the application's keys
// ("Generate proof of possession tokens for rolling keys"). The page shows RS256, with the
// certificate's thumbprint in the header.
func (a *application) proves(text string, w *settings) bool {
	p, refused := parseAssertion(text)
	if refused != nil || p.header.Algorithm != "RS256" || p.claims.Audience != proofAudience || p.claims.Issuer != a.id {
		return false
	}
	now := time.Now()
	begins, ends := time.Unix(int64(p.claims.NotBefore), 0), time.Unix(int64(p.claims.Expires), 0)
	if p.claims.NotBefore == 0 || ends.Before(now) || begins.After(now.Add(assertionSkew)) || ends.Sub(begins) > maxProofLife {
		return false
	}
	return slices.ContainsFunc(a.keys, func(k keyCredential) bool {
		sum := thumbprint(k.cert)
		named := strings.EqualFold(p.header.KeyID, hex.EncodeToString(sum)) || p.header.SHA1 == base64.RawURLEncoding.EncodeToString(sum)
		return named && k.usable(w) && rsa.VerifyPKCS1v15(k.cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, p.digest, p.signature) == nil
	})
}
