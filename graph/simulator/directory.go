package simulator

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Ids of Microsoft's own objects, which are the same in every tenant: "Microsoft Graph
// permissions reference" and "Verify first-party Microsoft applications".
const (
	graphAppID        = "00000003-0000-0000-c000-000000000000"
	commandLineClient = "14d82eec-204b-4c2f-b7e8-296a70dab67e" // "Microsoft Graph Command Line Tools"
	globalAdmin       = "62e90394-69f5-4237-9190-012177145e10" // role template Global Administrator
)

const (
	defaultTenantID = "5d3f0a52-7a0e-4c1b-9d6e-6a2f6c1b8e01"
	maxDirectory    = 1000 // objects of each kind
	maxKeys         = 100  // of an application
)

// graphRoles are the application permissions of Microsoft Graph that can be granted, with
// their ids: "Microsoft Graph permissions reference".
var graphRoles = []graphRole{
	{"b633e1c5-b582-4048-a93e-9f11b44c7e96", "Mail.Send"},
	{"e2a3a72e-5f79-4c64-b1b1-878b674786c9", "Mail.ReadWrite"},
	{"810c84a8-4a9e-49e6-bf7d-12d183f40d01", "Mail.Read"},
	{"df021288-bdef-4463-88db-98f22de89214", "User.Read.All"},
	{"7ab1d382-f21e-4acd-a863-ba3e13f7da61", "Directory.Read.All"},
	{"9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30", "Application.Read.All"},
	{"1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9", "Application.ReadWrite.All"},
	{"18a4783c-866b-4cc7-a460-3d5e5662c884", "Application.ReadWrite.OwnedBy"},
	{"06b708a9-e830-4db3-a914-8e69da51d44f", "AppRoleAssignment.ReadWrite.All"},
	{"498476ce-e0fe-48b0-b801-37ba7e2685c6", "Organization.Read.All"},
}

type graphRole struct{ id, value string }

// directory has the applications that were registered through Graph, and what belongs to
// them. The simulator's mutex guards it. Reset keeps it, like tokens.
type directory struct {
	applications []*application
	principals   []*principal
	rbac         []rbacGrant
}

// application is an application object ("application resource type").
type application struct {
	id, appID  string
	created    time.Time
	deleted    time.Time // zero, or when it went to the deleted items
	keys       []keyCredential
	properties map[string]any // the writable ones beside keyCredentials
}

// keyCredential is a certificate of an application ("keyCredential resource type").
type keyCredential struct {
	id, displayName string
	identifier      []byte // customKeyIdentifier: the SHA-1 thumbprint, unless the client gave another
	cert            *x509.Certificate
	start, end      time.Time
	added           time.Time
}

// principal is a service principal: an application in the tenant.
type principal struct {
	id, appID, displayName string
	created                time.Time
	assignments            []assignment
}

// assignment is an application permission of Graph that a principal has.
type assignment struct {
	id      string
	role    graphRole
	created time.Time
}

// rbacGrant is a role assignment of "Role Based Access Control for Applications in Exchange
// Online".
type rbacGrant struct {
	appID     string
	roles     []string
	mailboxes []string // lower case; "*" is all
	created   time.Time
}

func newDirectory(tenantID string) directory {
	return directory{principals: []*principal{{
		id: objectID(tenantID + graphAppID), appID: graphAppID, displayName: "Microsoft Graph",
	}}}
}

// settled reports whether a change of the directory at that time can be seen by now.
func (w *settings) settled(at time.Time) bool { return time.Since(at) >= w.DirectoryLag }

// findApplication returns the application with an object id, or with an app id if the key is
// "appId=...". The caller holds s.mu.
func (s *Simulator) findApplication(key string) (*application, bool) {
	w := s.world()
	for _, a := range s.directory.applications {
		if a.deleted.IsZero() && w.settled(a.created) && matchesKey(key, a.id, a.appID) {
			return a, true
		}
	}
	return nil, false
}

// findPrincipal is findApplication for service principals.
func (s *Simulator) findPrincipal(key string) (*principal, bool) {
	w := s.world()
	for _, p := range s.directory.principals {
		if w.settled(p.created) && matchesKey(key, p.id, p.appID) {
			return p, true
		}
	}
	return nil, false
}

func matchesKey(key, id, appID string) bool {
	if alternate, ok := strings.CutPrefix(key, "appId="); ok {
		return strings.EqualFold(alternate, appID)
	}
	return strings.EqualFold(key, id)
}

// registeredApp returns the rights of an application that was registered through Graph, for
// the token endpoint. known is false if none has this client id.
func (s *Simulator) registeredApp(tenant, clientID string) (app App, known bool, refused *oauthError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := slices.IndexFunc(s.directory.applications, func(a *application) bool { return strings.EqualFold(a.appID, clientID) })
	if n < 0 {
		return App{}, false, nil
	}
	a, w := s.directory.applications[n], s.world()
	if !a.deleted.IsZero() || !w.settled(a.created) || !s.ownTenant(tenant) {
		return App{}, true, appNotFound(tenant, clientID)
	}
	p, ok := s.findPrincipal("appId=" + a.appID)
	if !ok {
		return App{}, true, &oauthError{400, "unauthorized_client", 7000229,
			"The client application " + clientID + " is missing service principal in the tenant " + tenant + "."}
	}
	app = App{Tenant: tenant, ClientID: a.appID, Roles: []string{}, registered: true, objectID: p.id, RedirectURIs: []string{}}
	for _, granted := range p.assignments {
		if time.Since(granted.created) >= max(w.GrantLag, w.DirectoryLag) {
			app.Roles = append(app.Roles, granted.role.value)
		}
	}
	for _, key := range a.keys {
		if key.usable(w) {
			app.Certificates = append(app.Certificates, key.cert.Raw)
		}
	}
	return app, true, nil
}

// usable reports whether the key proves the application's identity: it is known everywhere,
// and now is within its validity.
func (k keyCredential) usable(w *settings) bool {
	now := time.Now()
	return now.Sub(k.added) >= w.KeyLag && !now.Before(k.start) && now.Before(k.end)
}

// ownTenant reports whether the tenant in a path is the simulated one.
func (s *Simulator) ownTenant(tenant string) bool {
	return strings.EqualFold(tenant, s.options.TenantID) ||
		slices.ContainsFunc(s.domains(), func(d string) bool { return strings.EqualFold(d, tenant) })
}

// domains returns the verified domains of the tenant.
func (s *Simulator) domains() []string {
	var list []string
	for _, listed := range s.options.Mailboxes {
		domain := strings.ToLower(listed[strings.LastIndexByte(listed, '@')+1:])
		if !slices.Contains(list, domain) {
			list = append(list, domain)
		}
	}
	if len(list) == 0 {
		list = append(list, "contoso.test")
	}
	return append(list, "contoso.onmicrosoft.com")
}

// rbacRoles returns the permissions of an application in a mailbox that Exchange gives.
func (s *Simulator) rbacRoles(appID, mailbox string) (roles []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.directory.rbac {
		if strings.EqualFold(g.appID, appID) && time.Since(g.created) >= s.world().RBACLag &&
			(slices.Contains(g.mailboxes, mailbox) || slices.Contains(g.mailboxes, "*")) {
			roles = append(roles, g.roles...)
		}
	}
	return roles
}

// GrantRBAC gives an application permissions in some mailboxes, as a role assignment in
// Exchange does: they are not in the application's tokens, and have effect after
// World.RBACLag. "*" is all mailboxes.
func (s *Simulator) GrantRBAC(appID string, roles, mailboxes []string) {
	lower := make([]string, len(mailboxes))
	for n, name := range mailboxes {
		lower[n] = strings.ToLower(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.directory.rbac) < maxDirectory {
		s.directory.rbac = append(s.directory.rbac, rbacGrant{appID, slices.Clone(roles), lower, time.Now()})
	}
}

// RegisteredApp is an application that was registered through Graph.
type RegisteredApp struct {
	ObjectID    string          `json:"objectId"`
	AppID       string          `json:"appId"`
	DisplayName string          `json:"displayName"`
	Deleted     bool            `json:"deleted"`
	Principal   string          `json:"servicePrincipal"` // object id, "" if there is none
	Roles       []string        `json:"roles"`            // that were granted
	Keys        []RegisteredKey `json:"keys"`
}

// RegisteredKey is a certificate of a RegisteredApp.
type RegisteredKey struct {
	KeyID      string    `json:"keyId"`
	Thumbprint string    `json:"thumbprint"` // SHA-1, in lower-case hex
	Start      time.Time `json:"start"`
	End        time.Time `json:"end"`
}

// RegisteredApps returns all applications that were registered through Graph, in the order of
// their creation, as they are and not as they are seen before World.DirectoryLag.
func (s *Simulator) RegisteredApps() []RegisteredApp {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []RegisteredApp{}
	for _, a := range s.directory.applications {
		shown := RegisteredApp{ObjectID: a.id, AppID: a.appID, DisplayName: a.displayName(), Deleted: !a.deleted.IsZero(), Roles: []string{}, Keys: []RegisteredKey{}}
		for _, p := range s.directory.principals {
			if p.appID == a.appID {
				shown.Principal = p.id
				for _, granted := range p.assignments {
					shown.Roles = append(shown.Roles, granted.role.value)
				}
			}
		}
		for _, k := range a.keys {
			shown.Keys = append(shown.Keys, RegisteredKey{k.id, hex.EncodeToString(thumbprint(k.cert)), k.start, k.end})
		}
		list = append(list, shown)
	}
	return list
}

// RegisterApp registers an application with a service principal, certificates in DER and
// permissions, at once and without a request. It returns its object id and client id.
func (s *Simulator) RegisterApp(displayName string, certificates [][]byte, roles ...string) (objectID, appID string, err error) {
	a := &application{id: newGUID(), appID: newGUID(), properties: map[string]any{"displayName": displayName}}
	for _, der := range certificates {
		key, err := newKey(keyJSON{Type: certificateKey, Usage: "Verify", Key: base64.StdEncoding.EncodeToString(der)})
		if err != nil {
			return "", "", err
		}
		key.added = time.Time{}
		a.keys = append(a.keys, key)
	}
	p := &principal{id: newGUID(), appID: a.appID, displayName: displayName}
	for _, r := range graphRoles {
		if slices.Contains(roles, r.value) {
			p.assignments = append(p.assignments, assignment{id: newGUID(), role: r})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directory.applications = append(s.directory.applications, a)
	s.directory.principals = append(s.directory.principals, p)
	return a.id, a.appID, nil
}
