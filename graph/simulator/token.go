package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Constants of "Microsoft identity platform and the OAuth 2.0 client credentials flow", and
// limits.
const (
	maxTokenRequest = 64 << 10
	assertionType   = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	graphResource   = "https://graph.microsoft.com"
	maxTokens       = 100_000 // before expired ones are removed
)

// accessToken has the rights of an access token.
type accessToken struct {
	app     App    // with the tenant and client id of the request
	user    string // lower-case address of the owner who signed in; "" is the app itself
	expires time.Time
}

// oauthError is an error of the token endpoint.
type oauthError struct {
	status int
	error  string
	number int // AADSTS number
	text   string
}

func (e *oauthError) Error() string { return fmt.Sprintf("AADSTS%d: %s", e.number, e.text) }

// response returns the answer with the error (RFC 6749 section 5.2).
func (e *oauthError) response(c *call) response {
	now := time.Now().UTC()
	trace, correlation := c.requestID, c.clientRequestID
	if correlation == "" {
		correlation = newGUID()
	}
	a := jsonResponse(e.status, map[string]any{
		"error": e.error,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
			e.number, e.text, trace, correlation, now.Format("2006-01-02 15:04:05Z")),
		"error_codes":    []int{e.number},
		"timestamp":      now.Format("2006-01-02 15:04:05Z"),
		"trace_id":       trace,
		"correlation_id": correlation,
		"error_uri":      fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", e.number),
	})
	a.code = e.error
	return a
}

// serveLogin serves a call to the login host, which needs no token.
func (s *Simulator) serveLogin(w http.ResponseWriter, r *http.Request, op Operation, run func(*call) (response, *oauthError)) {
	admit := func(*call) (func(), error) { return func() {}, nil }
	s.serve(w, s.newCall(r, op), admit, func(c *call) (response, error) {
		a, err := run(c)
		if err != nil {
			return err.response(c), nil
		}
		return a, nil
	})
}

// token serves a token request, of an app or on behalf of an owner.
func (c *call) token(tenant string) (response, *oauthError) {
	form, err := c.readTokenForm("grant_type", "client_id")
	if err != nil {
		return response{}, err
	}
	c.app = form.Get("client_id")
	switch form.Get("grant_type") {
	case "client_credentials":
	case grantDevice, grantDeviceShort, grantCode, grantRefresh:
		return c.delegated(tenant, form)
	default:
		return response{}, &oauthError{http.StatusBadRequest, "unsupported_grant_type", 70003,
			"The app requested an unsupported grant type '" + form.Get("grant_type") + "'."}
	}
	if form.Get("scope") == "" {
		return response{}, missingParameter("scope")
	}
	app, err := c.sim.authenticateApp(tenant, form)
	if err != nil {
		return response{}, err
	}
	if err := c.checkScope(form.Get("scope")); err != nil {
		return response{}, err
	}
	lifetime := c.sim.options.TokenLifetime
	token := c.sim.issue(app, lifetime)
	a := jsonResponse(http.StatusOK, map[string]any{
		"token_type":     "Bearer",
		"expires_in":     int(lifetime.Seconds()),
		"ext_expires_in": int(lifetime.Seconds()),
		"access_token":   token,
	})
	a.header.Set("Cache-Control", "no-store, no-cache")
	return a, nil
}

// readTokenForm reads the form of a request to the login host, which must have these fields.
func (c *call) readTokenForm(needed ...string) (url.Values, *oauthError) {
	if c.r.Method != http.MethodPost {
		return nil, &oauthError{http.StatusBadRequest, "invalid_request", 900561, "The endpoint only accepts POST requests. Received a " + c.r.Method + " request."}
	}
	body, err := c.readBody(maxTokenRequest)
	if err != nil || c.mediaType() != "application/x-www-form-urlencoded" {
		return nil, missingParameter("grant_type")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, missingParameter("grant_type")
	}
	// The client may authenticate with HTTP Basic instead, with both values form-encoded
	// (RFC 6749 section 2.3.1).
	if id, secret, ok := c.r.BasicAuth(); ok {
		setUnescaped(form, "client_id", id)
		setUnescaped(form, "client_secret", secret)
	}
	for _, name := range needed {
		if form.Get(name) == "" {
			return nil, missingParameter(name)
		}
	}
	return form, nil
}

func setUnescaped(form url.Values, name, value string) {
	if plain, err := url.QueryUnescape(value); err == nil {
		value = plain
	}
	form.Set(name, value)
}

func missingParameter(name string) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_request", 900144,
		"The request body must contain the following parameter: '" + name + "'."}
}

// authenticateApp returns the app of a token request, after a check of its secret or
// assertion.
func (s *Simulator) authenticateApp(tenant string, form url.Values) (App, *oauthError) {
	id := form.Get("client_id")
	app, err := s.findApp(tenant, id)
	switch {
	case err != nil:
		return App{}, err
	case app.public:
		return App{}, &oauthError{http.StatusUnauthorized, "invalid_client", 700025,
			"Client is public so neither 'client_assertion' nor 'client_secret' should be presented."}
	case form.Get("client_secret") != "":
		if app.registered || form.Get("client_secret") != app.Secret {
			return App{}, &oauthError{http.StatusUnauthorized, "invalid_client", 7000215,
				"Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '" + id + "'."}
		}
	case form.Get("client_assertion") != "":
		return app, s.checkAssertion(app, form)
	default:
		return App{}, noCredential()
	}
	return app, nil
}

func noCredential() *oauthError {
	return &oauthError{http.StatusUnauthorized, "invalid_client", 7000218,
		"The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}
}

// findApp returns the configured app, with the tenant and client id of the request.
func (s *Simulator) findApp(tenant, id string) (App, *oauthError) {
	if app, known, err := s.registeredApp(tenant, id); known {
		return app, err
	}
	if s.isPublicClient(id) {
		return App{Tenant: tenant, ClientID: id, Roles: []string{}, RedirectURIs: publicRedirects, public: true}, nil
	}
	knownTenant := false
	apps := s.options.Apps
	if len(apps) == 0 {
		apps = []App{{}}
	}
	for _, candidate := range apps {
		if candidate.Tenant != "" && !strings.EqualFold(candidate.Tenant, tenant) {
			continue
		}
		knownTenant = true
		if candidate.ClientID != "" && !strings.EqualFold(candidate.ClientID, id) {
			continue
		}
		candidate.Tenant, candidate.ClientID = tenant, id
		setDefault(&candidate.Secret, "simulated")
		if candidate.Roles == nil {
			candidate.Roles = []string{"Mail.ReadWrite", "Mail.Send"}
		}
		return candidate, nil
	}
	if !knownTenant {
		return App{}, &oauthError{http.StatusBadRequest, "invalid_request", 90002,
			"Tenant '" + tenant + "' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."}
	}
	return App{}, appNotFound(tenant, id)
}

func appNotFound(tenant, id string) *oauthError {
	return &oauthError{http.StatusBadRequest, "unauthorized_client", 700016,
		"Application with identifier '" + id + "' was not found in the directory '" + tenant + "'."}
}

// checkScope requires the scope RESOURCE/.default.
func (c *call) checkScope(scope string) *oauthError {
	resource, ok := strings.CutSuffix(scope, "/.default")
	if !ok {
		return &oauthError{http.StatusBadRequest, "invalid_scope", 1002012,
			"The provided value for scope " + scope + " is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."}
	}
	if !slices.Contains(c.resources(), resource) {
		return &oauthError{http.StatusBadRequest, "invalid_resource", 500011,
			"The resource principal named " + resource + " was not found in the tenant."}
	}
	return nil
}

// resources returns the identifiers of Graph that are accepted: this host, and the global
// cloud's.
func (c *call) resources() []string {
	return []string{graphResource, "http://" + c.r.Host, "https://" + c.r.Host}
}

// issue returns a new access token of an app.
func (s *Simulator) issue(app App, lifetime time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issueLocked(app, "", lifetime)
}

// issueLocked returns a new access token, of an app or of a user. It looks like a JWT of
// Entra's, with the roles among its claims. Its rights are those in s.tokens. The caller
// holds s.mu.
func (s *Simulator) issueLocked(app App, user string, lifetime time.Duration) string {
	now := time.Now()
	claims := map[string]any{
		"aud": graphResource, "appid": app.ClientID, "tid": app.Tenant,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(lifetime).Unix(),
	}
	if app.objectID != "" {
		claims["oid"] = app.objectID
	}
	if user != "" && slices.Contains([]string{"common", "organizations"}, app.Tenant) {
		claims["tid"] = s.options.TenantID
	}
	if user != "" && s.isAdmin(user) {
		claims["wids"] = []string{globalAdmin}
	}
	switch {
	case user != "":
		claims["idtyp"], claims["upn"], claims["scp"] = "user", s.upn(user), strings.Join(app.Roles, " ")
	case len(app.Roles) > 0:
		claims["idtyp"], claims["roles"] = "app", app.Roles
	default:
		claims["idtyp"] = "app"
	}
	payload, _ := json.Marshal(claims) // cannot fail with strings and numbers
	encode := base64.RawURLEncoding.EncodeToString
	token := encode([]byte(`{"typ":"JWT","alg":"RS256"}`)) + "." + encode(payload) + "." + encode(randomBytes(32))
	evict(s.tokens, maxTokens, func(held *accessToken) bool { return now.After(held.expires) })
	s.tokens[token] = &accessToken{app: app, user: user, expires: now.Add(lifetime)}
	return token
}

// RevokeTokens invalidates all access tokens, so that the next requests get 401.
func (s *Simulator) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// authenticate checks the bearer token, and sets the app and user of the call.
func (c *call) authenticate() error {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return unauthorized("Access token is empty.")
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	held, ok := c.sim.tokens[token]
	if !ok {
		return unauthorized("Access token validation failure.")
	}
	if time.Now().After(held.expires) {
		return unauthorized("Lifetime validation failed, the token is expired.")
	}
	c.app, c.roles, c.user = held.app.ClientID, slices.Concat(held.app.Roles, held.app.RBAC), held.user
	return nil
}

func unauthorized(text string) *apiError {
	return refuse(http.StatusUnauthorized, "InvalidAuthenticationToken", "%s", text)
}

// checkPermission checks that the token has the permission that the page of the request
// names, and that an owner's token is for the mailbox, or for one with full access to it.
func (c *call) checkPermission() error {
	if c.isForeign() && !slices.Contains(c.sim.options.FullAccess[c.mailbox], c.user) {
		c.sim.countForeign()
		return accessDenied()
	}
	needed := []string{"Mail.ReadWrite"}
	switch c.op {
	case OpSend, OpSendMail:
		needed = []string{"Mail.Send"}
	case OpGet, OpList, OpListAttachments, OpGetMIME:
		needed = []string{"Mail.ReadWrite", "Mail.Read"}
	}
	if c.isForeign() {
		needed = c.sim.world().sharedScopes(needed)
	}
	roles := c.roles
	if c.user == "" {
		roles = slices.Concat(roles, c.sim.rbacRoles(c.app, c.mailbox))
	}
	if slices.ContainsFunc(needed, func(role string) bool { return slices.Contains(roles, role) }) {
		return nil
	}
	return accessDenied()
}

func accessDenied() error {
	return refuse(http.StatusForbidden, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
}
