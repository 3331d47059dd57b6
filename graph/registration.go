package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// GraphAppID is the client ID of Microsoft Graph itself, the same in every tenant and cloud.
const GraphAppID = "00000003-0000-0000-c000-000000000000"

// The operations on the registrations of applications.
const (
	opOrganization     = "get_organization"
	opFindApplications = "find_applications"
	opGetApplication   = "get_application"
	opCreateApp        = "create_application"
	opDeleteApp        = "delete_application"
	opFindPrincipal    = "find_service_principal"
	opCreatePrincipal  = "create_service_principal"
	opListGrants       = "list_grants"
	opCreateGrant      = "create_grant"
)

// ErrNotRegistered means that the directory does not know, or does not know yet, what was
// asked for.
var ErrNotRegistered = errors.New("the directory does not know it")

// Organization is the tenant of a token (resources/organization).
type Organization struct {
	ID          string `json:"id"` // tenant ID
	DisplayName string `json:"displayName"`
	Domains     []struct {
		Name         string `json:"name"`
		Capabilities string `json:"capabilities"` // such as "Email, OfficeCommunicationsOnline"
		Default      bool   `json:"isDefault"`
		Initial      bool   `json:"isInitial"` // *.onmicrosoft.com
	} `json:"verifiedDomains"`
}

// Application is a registration of an application (resources/application). All of it is
// untrusted text but the IDs, which are GUIDs.
type Application struct {
	ID          string   `json:"id"`    // object ID
	ClientID    string   `json:"appId"` // application ID
	DisplayName string   `json:"displayName"`
	Tags        []string `json:"tags"`
	Keys        []struct {
		ID         string `json:"keyId"`
		Identifier string `json:"customKeyIdentifier"` // of the certificate: its SHA-1, in hex or in base64
	} `json:"keyCredentials"`
}

// KeyID returns the ID of the key whose certificate has the DER encoding, or "" if the
// application does not show it.
func (a Application) KeyID(der []byte) string {
	for _, k := range a.Keys {
		if identifies(k.Identifier, der) {
			return k.ID
		}
	}
	return ""
}

// applicationFields selects the fields of Application.
const applicationFields = "id,appId,displayName,tags,keyCredentials"

// Registration describes an application to register in the tenant of the token
// (application-post-applications). Whoever signs in with it proves one of the keys.
type Registration struct {
	DisplayName string            `json:"displayName"`
	Audience    string            `json:"signInAudience"` // AzureADMyOrg: of this tenant alone
	Notes       string            `json:"notes,omitempty"`
	Tags        []string          `json:"tags"`
	Access      []RequiredAccess  `json:"requiredResourceAccess,omitempty"`
	Keys        []RegistrationKey `json:"keyCredentials"`
}

// RequiredAccess are the permissions of one resource that an application asks for.
type RequiredAccess struct {
	ResourceAppID string           `json:"resourceAppId"`
	Access        []RequiredRights `json:"resourceAccess"`
}

// RequiredRights is one permission that an application asks for.
type RequiredRights struct {
	ID   string `json:"id"`
	Type string `json:"type"` // Role: an application permission
}

// RegistrationKey is a certificate of an application (resources/keycredential).
type RegistrationKey struct {
	Type        string `json:"type"`  // AsymmetricX509Cert
	Usage       string `json:"usage"` // Verify
	DisplayName string `json:"displayName,omitempty"`
	Key         []byte `json:"key"` // the certificate, in DER
}

// ServicePrincipal is an application in a tenant (resources/serviceprincipal).
type ServicePrincipal struct {
	ID       string `json:"id"` // object ID
	ClientID string `json:"appId"`
	AppRoles []struct {
		ID    string `json:"id"`
		Value string `json:"value"` // such as Mail.Send
	} `json:"appRoles"`
}

// Role returns the ID of an application permission that the principal offers, or "".
func (p ServicePrincipal) Role(name string) string {
	for _, r := range p.AppRoles {
		if r.Value == name && isGUID(r.ID) {
			return r.ID
		}
	}
	return ""
}

// Grant is an application permission that a principal has (resources/approleassignment).
type Grant struct {
	ID         string `json:"id,omitempty"`
	Principal  string `json:"principalId"` // that has it
	Resource   string `json:"resourceId"`  // the service principal that offers it
	Permission string `json:"appRoleId"`
}

// Organization returns the tenant of the token (organization-list). It needs
// Organization.Read.All.
func (c *Client) Organization(ctx context.Context) (Organization, error) {
	var list []Organization
	err := c.directoryList(ctx, opOrganization, "/organization", url.Values{"$select": {"id,displayName,verifiedDomains"}}, &list)
	if err == nil && (len(list) == 0 || !isGUID(list[0].ID)) {
		err = unusable(opOrganization, errors.New("it has no tenant with an id"))
	}
	if err != nil {
		return Organization{}, err
	}
	return list[0], nil
}

// FindApplications returns the applications with the name that have the tag
// (application-list). One that was registered a moment ago may be missing. If the directory
// refuses to search for tags, FindApplications searches for the name.
func (c *Client) FindApplications(ctx context.Context, tag, name string) ([]Application, error) {
	list, err := c.findApplications(ctx, "tags/any(t:t eq "+filterText(tag)+")")
	if isBadRequest(err) {
		list, err = c.findApplications(ctx, "displayName eq "+filterText(name))
	}
	// What does not show the tag was not asked for: the filter may have been ignored.
	return slices.DeleteFunc(list, func(a Application) bool { return !a.usable() || !slices.Contains(a.Tags, tag) }), err
}

func (c *Client) findApplications(ctx context.Context, filter string) (list []Application, err error) {
	err = c.directoryList(ctx, opFindApplications, "/applications", url.Values{"$filter": {filter}, "$select": {applicationFields}, "$top": {"100"}}, &list)
	return list, err
}

// filterText quotes a text for $filter.
func filterText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Application returns the application with an object ID (application-get). It returns
// ErrNotRegistered if there is none.
func (c *Client) Application(ctx context.Context, id string) (Application, error) {
	var a Application
	err := c.directory(ctx, opGetApplication, http.MethodGet, "/applications/"+id, url.Values{"$select": {applicationFields}}, nil, &a)
	if err == nil && !a.usable() {
		err = unusable(opGetApplication, errors.New("the application has no usable id"))
	}
	return a, notRegistered(err)
}

// CreateApplication registers an application (application-post-applications). If the error
// is ambiguous, look for the registration by one of its tags before the next try.
func (c *Client) CreateApplication(ctx context.Context, r Registration) (Application, error) {
	var a Application
	err := c.directory(ctx, opCreateApp, http.MethodPost, "/applications", nil, r, &a)
	if err == nil && !a.usable() {
		err = unusable(opCreateApp, errors.New("the application has no usable id"))
	}
	return a, err
}

// DeleteApplication deletes an application, and with it its service principal and grants
// (application-delete). It returns ErrNotRegistered if there is no such application.
func (c *Client) DeleteApplication(ctx context.Context, id string) error {
	return notRegistered(c.directory(ctx, opDeleteApp, http.MethodDelete, "/applications/"+id, nil, nil, nil))
}

// FindServicePrincipal returns the service principal of an application
// (serviceprincipal-list). It returns ErrNotRegistered if there is none, or none yet.
func (c *Client) FindServicePrincipal(ctx context.Context, clientID string) (ServicePrincipal, error) {
	query := url.Values{"$filter": {"appId eq '" + clientID + "'"}, "$select": {"id,appId,displayName,appRoles"}}
	var list []ServicePrincipal
	if err := c.directoryList(ctx, opFindPrincipal, "/servicePrincipals", query, &list); err != nil {
		return ServicePrincipal{}, err
	}
	i := slices.IndexFunc(list, func(p ServicePrincipal) bool { return strings.EqualFold(p.ClientID, clientID) && isGUID(p.ID) })
	if i < 0 {
		return ServicePrincipal{}, ErrNotRegistered
	}
	return list[i], nil
}

// CreateServicePrincipal creates the service principal of an application
// (serviceprincipal-post-serviceprincipals).
func (c *Client) CreateServicePrincipal(ctx context.Context, clientID string) (ServicePrincipal, error) {
	var p ServicePrincipal
	err := c.directory(ctx, opCreatePrincipal, http.MethodPost, "/servicePrincipals", nil, map[string]string{"appId": clientID}, &p)
	if err == nil && !isGUID(p.ID) {
		err = unusable(opCreatePrincipal, errors.New("the service principal has no usable id"))
	}
	return p, err
}

// Grants returns the application permissions that a service principal has
// (serviceprincipal-list-approleassignments).
func (c *Client) Grants(ctx context.Context, principal string) ([]Grant, error) {
	var list []Grant
	err := c.directoryList(ctx, opListGrants, "/servicePrincipals/"+principal+"/appRoleAssignments", nil, &list)
	return slices.DeleteFunc(list, func(g Grant) bool { return g.Principal != principal }), err
}

// CreateGrant grants an application permission (serviceprincipal-post-approleassignments).
func (c *Client) CreateGrant(ctx context.Context, g Grant) error {
	return c.directory(ctx, opCreateGrant, http.MethodPost, "/servicePrincipals/"+g.Principal+"/appRoleAssignments", nil, g, nil)
}

// directoryList makes a request whose answer is a list, and sets out to the list.
func (c *Client) directoryList(ctx context.Context, op, path string, query url.Values, out any) error {
	list := struct {
		Value any `json:"value"`
	}{out}
	return c.directory(ctx, op, http.MethodGet, path, query, nil, &list)
}

// directory makes a request to the directory. body and out may be nil.
func (c *Client) directory(ctx context.Context, op, method, path string, query url.Values, body, out any) error {
	r := &request{op: op, method: method, path: path, query: query, success: []int{http.StatusOK, http.StatusCreated, http.StatusNoContent}}
	if body != nil {
		if err := r.json(body); err != nil {
			return err
		}
	}
	_, err := c.call(ctx, r, out)
	return err
}

func (a Application) usable() bool { return isGUID(a.ID) && isGUID(a.ClientID) }

// notRegistered returns an error that wraps ErrNotRegistered for a 404.
func notRegistered(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return fmt.Errorf("%w: %w", ErrNotRegistered, err)
	}
	return err
}

func unusable(op string, err error) error {
	return unreadable(op, Reply{Status: http.StatusOK}, err)
}

// isGUID reports whether an ID of the directory can stand in a path.
func isGUID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }
