package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// The managed identity endpoints of a virtual machine ("How to use managed identities for
// Azure resources on an Azure VM to acquire an access token") and of App Service ("How to
// use managed identities for App Service").
const (
	imdsPath       = "/metadata/identity/oauth2/token"
	appServicePath = "/msi/token"
	managedTenant  = "managed-identity" // the tenant to look up an App with
)

// IdentityHeader is the secret that App Service requires as X-IDENTITY-HEADER.
const IdentityHeader = "simulated-identity-header"

// serveManagedIdentity issues tokens to programs on the machine.
func (s *Simulator) serveManagedIdentity(w http.ResponseWriter, r *http.Request) {
	s.serveLogin(w, r, OpToken, func(c *call) (response, *oauthError) { return c.managedIdentity(), nil })
}

func (c *call) managedIdentity() response {
	refuse := func(status int, code, text string) response {
		a := jsonResponse(status, map[string]string{"error": code, "error_description": text})
		a.code = code
		return a
	}
	q := c.r.URL.Query()
	appService := c.r.URL.Path == appServicePath
	version := "2018-02-01"
	if appService {
		version = "2019-08-01"
	}
	switch {
	case c.r.Method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "invalid_request", "Only GET is allowed.")
	case !appService && c.r.Header.Get("Metadata") != "true":
		return refuse(http.StatusBadRequest, "bad_request_102", "Required metadata header not specified")
	case appService && c.r.Header.Get("X-Identity-Header") != IdentityHeader:
		return refuse(http.StatusUnauthorized, "unauthorized", "The X-IDENTITY-HEADER is not that of this app.")
	case c.r.Header.Get("X-Forwarded-For") != "" || c.r.Header.Get("Via") != "":
		return refuse(http.StatusBadRequest, "invalid_request", "The endpoint does not answer through a proxy.")
	case q.Get("api-version") != version:
		return refuse(http.StatusBadRequest, "invalid_request", "api-version has to be "+version)
	case !slices.Contains(c.resources(), q.Get("resource")):
		return refuse(http.StatusBadRequest, "invalid_resource", "AADSTS500011: The resource principal named "+q.Get("resource")+" was not found in the tenant.")
	}
	id := q.Get("client_id")
	app, err := c.sim.findApp(managedTenant, id)
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid_request", "Identity not found")
	}
	life := c.sim.options.TokenLifetime
	seconds := strconv.Itoa(int(life.Seconds()))
	return jsonResponse(http.StatusOK, map[string]string{ // all values are strings
		"access_token": c.sim.issue(app, life), "refresh_token": "", "token_type": "Bearer", "resource": q.Get("resource"), "client_id": id,
		"expires_in": seconds, "ext_expires_in": seconds, "expires_on": strconv.FormatInt(time.Now().Add(life).Unix(), 10), "not_before": strconv.FormatInt(time.Now().Unix(), 10),
	})
}
