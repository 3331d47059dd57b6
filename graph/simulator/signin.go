package simulator

import (
	_ "embed"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/look"
)

//go:embed signin.html
var signInSource string

var signInPage = template.Must(template.New("signin").Funcs(look.Funcs()).Parse(signInSource))

// signInForm has the values of the page on which the owner of a mailbox signs in. The
// simulator asks for no password.
type signInForm struct {
	App, Account, Error, Done string
	UserCode                  string
	AskCode                   bool
	Hidden                    map[string]string // values that the form sends along
}

// showSignIn writes the sign-in page.
func showSignIn(w http.ResponseWriter, status int, f signInForm) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	// It says nothing of forms: browsers would apply it to the way back to the application.
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_ = signInPage.Execute(w, f)
}

// deviceCode serves a device authorization request (RFC 8628 section 3.1).
func (c *call) deviceCode(tenant string) (response, *oauthError) {
	form, err := c.readTokenForm("client_id", "scope")
	if err != nil {
		return response{}, err
	}
	app, err := c.sim.findApp(tenant, form.Get("client_id"))
	if err != nil {
		return response{}, err
	}
	scopes, offline, err := c.parseScopes(form.Get("scope"))
	if err != nil {
		return response{}, err
	}
	life, interval := c.sim.options.DeviceLife, c.sim.options.DeviceInterval
	d := &deviceCode{consent: consent{app: app, scopes: scopes, offline: offline}, userCode: newUserCode(), expires: time.Now().Add(life), interval: interval}
	code := newSecret()
	page := "http://" + c.r.Host + "/common/oauth2/deviceauth"
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	now := time.Now()
	evict(c.sim.grants.devices, maxGrants, func(d *deviceCode) bool { return now.After(d.expires) })
	c.sim.grants.devices[code] = d
	return jsonResponse(http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.userCode, "verification_uri": page,
		"expires_in": int(life.Seconds()), "interval": int(interval.Seconds()),
		"message": "To sign in, use a web browser to open the page " + page + " and enter the code " + d.userCode + " to authenticate.",
	}), nil
}

// newUserCode returns a user code without characters that look alike.
func newUserCode() string {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	code := randomBytes(9)
	for i, b := range code {
		code[i] = letters[int(b)%len(letters)]
	}
	return string(code)
}

// serveDeviceAuth serves the page on which an owner enters a user code. The form fields are
// user_code, account, and decline, which refuses the sign-in.
func (s *Simulator) serveDeviceAuth(w http.ResponseWriter, r *http.Request) {
	form := signInForm{AskCode: true, UserCode: r.FormValue("user_code"), Account: r.FormValue("account")}
	if r.Method != http.MethodPost {
		showSignIn(w, http.StatusOK, form)
		return
	}
	if err := s.approveDevice(form.UserCode, form.Account, r.FormValue("decline") != ""); err != "" {
		form.Error = err
		showSignIn(w, http.StatusBadRequest, form)
		return
	}
	showSignIn(w, http.StatusOK, signInForm{Done: "You can close this page now."})
}

// approveDevice completes the sign-in with a user code. It returns the text of an error, "" if
// there is none.
func (s *Simulator) approveDevice(userCode, account string, decline bool) (problem string) {
	account = s.addressOf(strings.TrimSpace(account))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.grants.devices {
		switch {
		case !strings.EqualFold(d.userCode, strings.TrimSpace(userCode)) || time.Now().After(d.expires):
			continue
		case decline:
			d.declined = true
			return ""
		case !s.accountExists(account):
			return "That account does not exist."
		case s.world().DeviceCode == DeviceCodeSilent:
			return "AADSTS53003: " + blockedText
		}
		if d.refused = s.consentRefused(account, d.scopes); d.refused != nil {
			return d.refused.Error()
		}
		d.user = account
		return ""
	}
	return "That code did not work. Check the code and try again."
}

// serveAuthorize serves the sign-in page of the authorization code flow.
func (s *Simulator) serveAuthorize(w http.ResponseWriter, r *http.Request, tenant string) {
	_ = r.ParseForm()
	code, refused := s.authorize(r, tenant)
	switch {
	case refused != nil && refused.status == 0: // an error for the application
		redirectBack(w, r, url.Values{"error": {refused.error}, "error_description": {refused.Error()}})
	case refused != nil:
		showSignIn(w, http.StatusBadRequest, signInForm{Error: refused.Error()})
	case r.Method != http.MethodPost:
		showSignIn(w, http.StatusOK, authorizeForm(r))
	case r.FormValue("decline") != "":
		redirectBack(w, r, url.Values{"error": {"access_denied"},
			"error_description": {"AADSTS65004: User declined to consent to access the app."}})
	default:
		s.completeAuthorize(w, r, code)
	}
}

// completeAuthorize signs in the account in the form, and sends the browser to the
// application with the code.
func (s *Simulator) completeAuthorize(w http.ResponseWriter, r *http.Request, code *authCode) {
	code.user = s.addressOf(strings.TrimSpace(r.FormValue("account")))
	if !s.accountExists(code.user) {
		form := authorizeForm(r)
		form.Error = "That account does not exist."
		showSignIn(w, http.StatusBadRequest, form)
		return
	}
	if refused := s.consentRefused(code.user, code.scopes); refused != nil {
		redirectBack(w, r, url.Values{"error": {refused.error}, "error_description": {refused.Error()}})
		return
	}
	value := "0." + newSecret()
	now := time.Now()
	s.mu.Lock()
	evict(s.grants.codes, maxGrants, func(c *authCode) bool { return now.After(c.expires) })
	s.grants.codes[value] = code
	s.mu.Unlock()
	redirectBack(w, r, url.Values{"code": {value}})
}

// authorizeForm returns the form for a request, with its parameters in hidden fields.
func authorizeForm(r *http.Request) signInForm {
	form := signInForm{App: r.FormValue("client_id"), Account: r.FormValue("login_hint"), Hidden: map[string]string{}}
	for name, values := range r.Form {
		if name != "account" && name != "accept" && name != "decline" {
			form.Hidden[name] = values[0]
		}
	}
	return form
}

// redirectBack sends the browser to the application's redirect URI with the parameters and
// the request's state (RFC 6749 section 4.1.2).
func redirectBack(w http.ResponseWriter, r *http.Request, parameters url.Values) {
	redirect, _ := url.Parse(r.FormValue("redirect_uri")) // authorize has checked it
	q := redirect.Query()
	maps.Copy(q, parameters)
	q.Set("state", r.FormValue("state"))
	redirect.RawQuery = q.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

// authorize checks a request of the authorization code flow. It requires PKCE with S256:
// without a method, Entra takes the challenge for plain. An error with the status 0 has to
// be sent to the application, at its redirect URI.
func (s *Simulator) authorize(r *http.Request, tenant string) (*authCode, *oauthError) {
	app, unknown := s.findApp(tenant, r.FormValue("client_id"))
	redirect, err := url.Parse(r.FormValue("redirect_uri"))
	switch {
	case unknown != nil:
		return nil, unknown
	case err != nil || !app.redirects(redirect):
		return nil, &oauthError{http.StatusBadRequest, "invalid_request", 50011,
			"The redirect URI '" + r.FormValue("redirect_uri") + "' specified in the request does not match the redirect URIs configured for the application."}
	}
	redirected := func(code string, number int, text string) (*authCode, *oauthError) {
		return nil, &oauthError{0, code, number, text}
	}
	switch {
	case r.FormValue("response_type") != "code":
		return redirected("unsupported_response_type", 700054, "response_type is not enabled for the application.")
	case r.FormValue("code_challenge_method") != "S256" || len(r.FormValue("code_challenge")) != 43:
		return redirected("invalid_request", 9002325, "Proof Key for Code Exchange is required, with the method S256.")
	}
	scopes, offline, fault := (&call{sim: s, r: r}).parseScopes(r.FormValue("scope"))
	if fault != nil {
		return redirected(fault.error, fault.number, fault.text)
	}
	return &authCode{
		consent:  consent{app: app, scopes: scopes, offline: offline},
		redirect: r.FormValue("redirect_uri"), challenge: r.FormValue("code_challenge"), expires: time.Now().Add(codeLife),
	}, nil
}

// redirects reports whether the URI is a redirect URI of the application. http is allowed
// for localhost only, where the port does not matter ("Redirect URI best practices and
// limitations").
func (a App) redirects(to *url.URL) bool {
	if !to.IsAbs() || to.Scheme == "http" && to.Hostname() != "localhost" && to.Hostname() != "127.0.0.1" {
		return false
	}
	return a.RedirectURIs == nil || slices.ContainsFunc(a.RedirectURIs, func(known string) bool {
		u, err := url.Parse(known)
		if err != nil {
			return false
		}
		if u.Hostname() == "localhost" {
			u.Host, to.Host = u.Hostname(), to.Hostname()
		}
		return u.Scheme == to.Scheme && u.Host == to.Host && u.Path == to.Path
	})
}

// Secrets returns all secrets that were issued: access and refresh tokens, and codes. Tests
// search logs and files for them.
func (s *Simulator) Secrets() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list = slices.Collect(maps.Keys(s.tokens))
	list = slices.AppendSeq(list, maps.Keys(s.grants.refresh))
	list = slices.AppendSeq(list, maps.Keys(s.grants.codes))
	return slices.AppendSeq(list, maps.Keys(s.grants.devices))
}
