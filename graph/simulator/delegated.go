package simulator

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The grants with which the owner of a mailbox signs in: device code ("OAuth 2.0 device
// authorization grant flow"), authorization code with PKCE ("OAuth 2.0 authorization
// code flow") and refresh token ("Refresh tokens in the Microsoft identity platform").
const (
	grantDevice      = "urn:ietf:params:oauth:grant-type:device_code"
	grantDeviceShort = "device_code" // as MSAL sends it
	grantCode        = "authorization_code"
	grantRefresh     = "refresh_token"
)

const (
	deviceLife   = 15 * time.Minute
	codeLife     = 10 * time.Minute
	pollInterval = 5 * time.Second
	maxGrants    = 10_000 // of each kind, before expired ones are removed
)

// consent is what an owner has consented to.
type consent struct {
	app     App
	user    string // lower-case address
	scopes  []string
	offline bool // offline_access: a refresh token is issued
}

// deviceCode is a device code that was not redeemed yet.
type deviceCode struct {
	consent
	userCode string
	expires  time.Time
	interval time.Duration
	polled   time.Time
	declined bool
	refused  *oauthError // for the account that signed in
}

// authCode is an authorization code. It is kept after it was redeemed, to refuse it again.
type authCode struct {
	consent
	redirect  string
	challenge string
	expires   time.Time
	redeemed  bool
}

// refreshToken is a refresh token. Those of one sign-in share a consent.
type refreshToken struct {
	*consent
	revoked bool // by its owner or an administrator
	rotated bool // a newer one was issued
}

// grants has the sign-ins of owners, begun and completed. The simulator's mutex guards it.
type grants struct {
	devices map[string]*deviceCode // by device code
	codes   map[string]*authCode
	refresh map[string]*refreshToken
}

func newGrants() grants {
	return grants{devices: map[string]*deviceCode{}, codes: map[string]*authCode{}, refresh: map[string]*refreshToken{}}
}

func invalidGrant(number int, text string) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_grant", number, text}
}

// delegated serves a token request on behalf of an owner.
func (c *call) delegated(tenant string, form url.Values) (response, *oauthError) {
	app, err := c.sim.clientApp(tenant, form)
	if err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	var agreed *consent
	switch form.Get("grant_type") {
	case grantDevice, grantDeviceShort:
		agreed, err = c.redeemDevice(app, form)
	case grantCode:
		agreed, err = c.sim.redeemCode(app, form)
	default:
		agreed, err = c.redeemRefresh(app, form)
	}
	if err != nil {
		return response{}, err
	}
	return c.sim.grantDelegated(agreed), nil
}

// clientApp returns the application of a delegated token request. It checks the credential
// if there is one; only a confidential client needs it.
func (s *Simulator) clientApp(tenant string, form url.Values) (App, *oauthError) {
	if form.Get("client_secret") != "" || form.Get("client_assertion") != "" {
		return s.authenticateApp(tenant, form)
	}
	app, err := s.findApp(tenant, form.Get("client_id"))
	if err == nil && app.Confidential {
		err = noCredential()
	}
	return app, err
}

// redeemDevice returns the consent for a device code (RFC 8628 section 3.5). The caller holds
// s.mu.
func (c *call) redeemDevice(app App, form url.Values) (*consent, *oauthError) {
	refuse := func(code string, number int, text string) (*consent, *oauthError) {
		return nil, &oauthError{http.StatusBadRequest, code, number, text}
	}
	code := form.Get("device_code")
	d := c.sim.grants.devices[code]
	now := time.Now()
	switch {
	case d == nil || d.app.ClientID != app.ClientID || d.app.Tenant != app.Tenant:
		return refuse("bad_verification_code", 70019, "Verification code expired or not known.")
	case now.After(d.expires):
		return refuse("expired_token", 70020, "The provided value for the input parameter 'device_code' is not valid. This device code has expired.")
	case d.declined:
		return refuse("authorization_declined", 70021, "The user declined the authorization request.")
	}
	early := !d.polled.IsZero() && now.Sub(d.polled) < d.interval-500*time.Millisecond // some tolerance for the network
	d.polled = now
	switch {
	case early:
		return refuse("slow_down", 50199, "Polling too often; wait longer.")
	case d.user != "" && c.sim.world().DeviceCode == DeviceCodeRefused:
		return refuse("invalid_grant", 53003, blockedText)
	case d.refused != nil:
		return refuse(d.refused.error, d.refused.number, d.refused.text)
	case d.user == "":
		return refuse("authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	delete(c.sim.grants.devices, code)
	return &d.consent, nil
}

// redeemCode returns the consent for an authorization code. The caller holds s.mu.
func (s *Simulator) redeemCode(app App, form url.Values) (*consent, *oauthError) {
	code := s.grants.codes[form.Get("code")]
	switch {
	case code == nil || code.app.ClientID != app.ClientID || code.app.Tenant != app.Tenant:
		return nil, invalidGrant(70000, "The provided authorization code is not valid for this application.")
	case code.redeemed:
		return nil, invalidGrant(54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	}
	code.redeemed = true
	switch sum := sha256.Sum256([]byte(form.Get("code_verifier"))); {
	case time.Now().After(code.expires):
		return nil, invalidGrant(70008, "The provided authorization code or refresh token has expired due to inactivity.")
	case form.Get("redirect_uri") != code.redirect:
		return nil, invalidGrant(500112, "The reply address does not match the one of the authorization request.")
	case subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(code.challenge)) != 1:
		return nil, invalidGrant(501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	return &code.consent, nil
}

// redeemRefresh returns the consent for a refresh token. It is for other scopes if the request
// names them, as far as the owner or an administrator has agreed to them. The caller holds
// s.mu.
func (c *call) redeemRefresh(app App, form url.Values) (*consent, *oauthError) {
	s := c.sim
	r := s.grants.refresh[form.Get("refresh_token")]
	switch {
	case r == nil || r.app.ClientID != app.ClientID || r.app.Tenant != app.Tenant:
		return nil, invalidGrant(9002313, "Invalid request. The refresh token is malformed or was not issued to this application.")
	case r.revoked:
		return nil, invalidGrant(50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed.")
	case r.rotated && s.options.RevokeRotated:
		return nil, invalidGrant(70000, "The provided value for the input parameter 'refresh_token' is not valid: a newer one was given.")
	}
	agreed := r.consent
	if scope := form.Get("scope"); scope != "" {
		scopes, offline, err := c.parseScopes(scope)
		if err != nil {
			return nil, err
		}
		for _, name := range scopes {
			if !slices.Contains(agreed.scopes, name) && !slices.Contains(app.AdminConsent, name) {
				return nil, invalidGrant(65001, "The user or administrator has not consented to use the application with the scope "+name+".")
			}
		}
		agreed = &consent{app: agreed.app, user: agreed.user, scopes: scopes, offline: offline}
	}
	r.rotated = true
	return agreed, nil
}

// grantDelegated returns an access token for the owner's mailbox, and the next refresh
// token. The caller holds s.mu.
func (s *Simulator) grantDelegated(agreed *consent) response {
	life := s.options.TokenLifetime
	app := agreed.app
	app.Roles = slices.DeleteFunc(slices.Clone(agreed.scopes), func(name string) bool { return slices.Contains(app.DeniedScopes, name) })
	body := map[string]any{
		"token_type": "Bearer", "scope": strings.Join(app.Roles, " "),
		"expires_in": int(life.Seconds()), "ext_expires_in": int(life.Seconds()),
		"access_token": s.issueLocked(app, agreed.user, life),
	}
	if agreed.offline {
		token := "0." + newSecret()
		evict(s.grants.refresh, maxGrants, func(r *refreshToken) bool { return r.revoked || r.rotated })
		s.grants.refresh[token] = &refreshToken{consent: agreed}
		body["refresh_token"] = token
	}
	a := jsonResponse(http.StatusOK, body)
	a.header.Set("Cache-Control", "no-store, no-cache")
	return a
}

// Revoke revokes the refresh and access tokens of a mailbox's owner, as an administrator's
// "revoke sessions" or a changed password does.
func (s *Simulator) Revoke(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	address = strings.ToLower(address)
	for _, r := range s.grants.refresh {
		if r.user == address {
			r.revoked = true
		}
	}
	for token, held := range s.tokens {
		if held.user == address {
			delete(s.tokens, token)
		}
	}
}

func (s *Simulator) countForeign() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.ForeignTokens++
}

// parseScopes returns the scopes of a delegated request without their resource, which has
// to be this host or the global cloud's Graph. It ignores OpenID's scopes.
func (c *call) parseScopes(scope string) (scopes []string, offline bool, err *oauthError) {
	for name := range strings.FieldsSeq(scope) {
		switch {
		case name == "offline_access":
			offline = true
			continue
		case slices.Contains([]string{"openid", "profile", "email"}, name):
			continue
		}
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			if !slices.Contains(c.resources(), name[:i]) {
				return nil, false, &oauthError{http.StatusBadRequest, "invalid_resource", 500011,
					"The resource principal named " + name[:i] + " was not found in the tenant."}
			}
			name = name[i+1:]
		}
		scopes = append(scopes, name)
	}
	if len(scopes) == 0 {
		return nil, false, &oauthError{http.StatusBadRequest, "invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid."}
	}
	return scopes, offline, nil
}
