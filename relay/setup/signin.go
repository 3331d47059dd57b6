package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/internal/buildinfo"
	"graphrelay/internal/text"
	"graphrelay/relay/connection"
)

// The ways in which the administrator signs in.
const (
	WayDevice  = "device"  // with a code, in a browser anywhere
	WayBrowser = "browser" // with a browser that reaches this machine, or by pasting where it ends
)

// The permissions that the administrator's token needs, by what is done with it.
const (
	scopeApplications = "Application.ReadWrite.All"
	scopeGrants       = "AppRoleAssignment.ReadWrite.All"
	scopeOrganization = "Organization.Read.All"
)

// signInTime is the longest wait for the administrator to sign in with a browser. A device
// code has its own.
const signInTime = 15 * time.Minute

// requestTimeout is the longest wait for the answer to one request.
const requestTimeout = 30 * time.Second

// admin is the administrator who has signed in. The token is in memory alone: there is no
// refresh token, and nothing writes or logs it.
type admin struct {
	*graph.Client
	account string // as the token names it, or ""
}

// signIn has the administrator sign in with these permissions.
func (r *run) signIn(ctx context.Context, scopes ...string) (*admin, error) {
	login, graphURL := r.endpoints()
	c := r.state.Choices
	if c.AdminApp == "" && r.o.AdminTokenEnv == "" {
		return nil, errors.New("name the public client through which the administrator signs in with --admin-app")
	}
	tenant := c.Tenant
	if r.state.TenantID != "" {
		tenant = r.state.TenantID
	}
	config := graph.Config{Tenant: tenant, ClientID: c.AdminApp, GraphURL: graphURL, Timeout: requestTimeout, UserAgent: buildinfo.Read().UserAgent()}
	var token *oauth2.Token
	if value := os.Getenv(r.o.AdminTokenEnv); r.o.AdminTokenEnv != "" {
		if value == "" {
			return nil, fmt.Errorf("the environment variable %s, which is to hold the administrator's token, is not set", r.o.AdminTokenEnv)
		}
		token = &oauth2.Token{AccessToken: value}
	} else {
		who := entra.Interactive{App: entra.App{Tenant: tenant, ClientID: c.AdminApp, LoginURL: login, GraphURL: graphURL}}
		for _, s := range scopes { // no offline_access, so no refresh token is issued
			who.Scopes = append(who.Scopes, graphURL+"/"+s)
		}
		client := graph.New(config)
		defer client.Close()
		var err error
		if token, err = r.signInPerson(client.WithHTTPClient(ctx), who); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, signInAdvice(client.SignInError(err))
		}
		token.RefreshToken = "" // not wanted
	}
	config.SignIn = entra.StaticToken{Value: token}
	a := &admin{graph.New(config), connection.Account(token.AccessToken)}
	if a.account != "" {
		r.say("Signed in as %s.", text.Printable(a.account))
	}
	return a, nil
}

// errSwitch means that the operator wants to sign in with a browser instead.
var errSwitch = errors.New("a browser is to be used")

// signInPerson signs in in the chosen way. Where a device code is refused, it offers the
// other one.
func (r *run) signInPerson(ctx context.Context, who entra.Interactive) (*oauth2.Token, error) {
	if r.o.SignIn != WayBrowser {
		token, err := r.signInDevice(ctx, who)
		switch {
		case errors.Is(err, errSwitch):
		case !blocked(err):
			return token, err
		default:
			if r.in == nil {
				return nil, err
			}
			r.say("\nA Conditional Access policy of the tenant does not allow signing in with a code:\n  %s", text.Printable(text.Shorten(err.Error(), 300)))
			other, askErr := r.confirm(ctx, "Sign in with a browser instead?", true)
			if askErr != nil {
				return nil, askErr
			}
			if !other {
				return nil, err
			}
		}
	}
	return r.signInBrowser(ctx, who)
}

// signInDevice signs in with a device code.
func (r *run) signInDevice(ctx context.Context, who entra.Interactive) (*oauth2.Token, error) {
	code, err := who.DeviceCode(ctx)
	if err != nil {
		return nil, err
	}
	r.say("\nAn administrator has to sign in. In any browser, open\n\n    %s\n\nand enter the code  %s  (valid until %s).",
		text.Printable(code.VerificationURI), text.Printable(code.UserCode), code.Expiry.Local().Format(time.TimeOnly))
	var enter <-chan string
	if r.in != nil {
		r.say("If that page says that access is blocked, press Enter here to sign in with a browser on this machine instead.")
		enter = r.typed()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		token *oauth2.Token
		err   error
	}
	done := make(chan result, 1)
	go func() {
		token, err := who.WaitForDevice(ctx, code)
		done <- result{token, err}
	}()
	for {
		select {
		case got := <-done:
			return got.token, got.err
		case _, ok := <-enter:
			if ok {
				return nil, errSwitch
			}
			enter = nil
		}
	}
}

// aadsts530 matches the errors of Conditional Access and security defaults: 53000 to 53011,
// and 530001 to 530099 (Microsoft Entra authentication and authorization error codes).
var aadsts530 = regexp.MustCompile(`AADSTS530\d{2,3}\b`)

// blocked reports whether a policy has refused the sign-in.
func blocked(err error) bool { return err != nil && aadsts530.MatchString(err.Error()) }

// signInAdvice adds what to do about a sign-in that was refused.
func signInAdvice(err error) error {
	const notAdmin = "sign in with an account that may register applications: a Cloud Application Administrator, or, to grant permissions for the whole tenant, a Global Administrator"
	var e *graph.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case blocked(err):
		return fmt.Errorf("%w; a Conditional Access policy refuses this sign-in: sign in with a browser (--sign-in %s), have the policy leave out this account, or use the script that --print prints", err, WayBrowser)
	case e.Code == "expired_token":
		return fmt.Errorf("%w; run the command again for a new code", err)
	case e.Code == "authorization_declined", e.Code == "access_denied":
		return fmt.Errorf("%w; the sign-in was declined, or consent was not given; %s", err, notAdmin)
	case regexp.MustCompile(`AADSTS(90094|90095|65001|65004|50105)\b`).MatchString(e.Message):
		return fmt.Errorf("%w; %s", err, notAdmin)
	case regexp.MustCompile(`AADSTS50194\b`).MatchString(e.Message):
		return fmt.Errorf("%w; the application of --admin-app is of one tenant alone: name that tenant with --tenant", err)
	case regexp.MustCompile(`AADSTS(700016|7000112)\b`).MatchString(e.Message):
		return fmt.Errorf("%w; the tenant has blocked this client: name another public client with --admin-app, or use the script that --print prints", err)
	}
	if advice := graph.Advice(err); advice != "" {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}
