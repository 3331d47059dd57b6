package setup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
	"graphrelay/relay/credential"
)

// register makes the application in Entra, its service principal and its grants, or finds
// those that an earlier run has made.
func (r *run) register(ctx context.Context, store *credential.Store) error {
	c := &r.state.Choices
	if c.ClientID != "" { // the script has done all of this
		c.setDomains(nil)
		r.state.TenantID, r.state.ClientID, r.state.AppID, r.state.Principal = c.Tenant, c.ClientID, c.AppObjectID, c.PrincipalID
		r.state.Grants, r.state.Registered = c.roles(), true
		if err := store.Register(c.AppObjectID); err != nil {
			return err
		}
		return r.step("registered")
	}
	scopes := []string{scopeApplications, scopeOrganization}
	if len(c.roles()) > 0 {
		scopes = append(scopes, scopeGrants)
	}
	a, err := r.signIn(ctx, scopes...)
	if err != nil {
		return err
	}
	defer a.Close()
	offered, err := r.organization(ctx, a)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return r.application(ctx, a, store, offered) },
		func() error { return r.rememberKeys(ctx, a, store) },
		func() error { return r.principal(ctx, a) },
		func() error { return r.grants(ctx, a, offered) },
		func() error { return r.removeOthers(ctx, a) },
	} {
		if err := step(); err != nil {
			return adminAdvice(err)
		}
	}
	r.state.Registered = true
	return r.step("registered")
}

// organization learns what the tenant is, and completes the choices that depend on it. It
// returns the service principal of Graph, which offers the permissions.
func (r *run) organization(ctx context.Context, a *admin) (graph.ServicePrincipal, error) {
	none := graph.ServicePrincipal{}
	var org graph.Organization
	err := r.until(ctx, "Graph does not answer.", func() (_ bool, err error) {
		org, err = a.Organization(ctx)
		return false, err
	})
	if err != nil {
		return none, adminAdvice(err)
	}
	s := r.state
	if s.TenantID != "" && !strings.EqualFold(s.TenantID, org.ID) {
		return none, fmt.Errorf("this account is of the tenant %s, but the set-up was begun in %s; sign in with an account of that one", org.ID, s.TenantID)
	}
	s.TenantID, s.TenantName = org.ID, text.Shorten(text.OneLine(org.DisplayName), 100)
	r.say("The tenant is %s (%s).", text.Printable(s.TenantName), s.TenantID)
	if len(s.Choices.Mailboxes) == 0 {
		if err := checkMailboxList(a.account); err != nil {
			return none, errors.New("the token does not tell the administrator's mailbox; name the mailboxes that send with --mailboxes")
		}
		s.Choices.Mailboxes = []string{strings.ToLower(a.account)}
	}
	var domains []string
	for _, d := range org.Domains {
		if name, err := mailaddr.Domain(d.Name); err == nil && (strings.Contains(d.Capabilities, "Email") || d.Capabilities == "") {
			domains = append(domains, name)
		}
	}
	for _, m := range s.Choices.Mailboxes {
		if _, domain := mailaddr.Split(m); len(domains) > 0 && !slices.Contains(domains, domain) {
			return none, fmt.Errorf("%s cannot be a mailbox of the tenant %s, whose domains are %s; correct --mailboxes, or sign in to another tenant (to begin anew, move %s away)",
				m, text.Printable(s.TenantName), strings.Join(domains, ", "), r.path)
		}
	}
	s.Choices.setDomains(domains)
	if len(s.Choices.roles()) == 0 {
		return none, r.step("tenant")
	}
	var offered graph.ServicePrincipal
	err = r.until(ctx, "Graph does not answer.", func() (_ bool, err error) {
		offered, err = a.FindServicePrincipal(ctx, graph.GraphAppID)
		return false, err
	})
	if err != nil {
		return none, fmt.Errorf("the permissions of Graph cannot be read: %w", adminAdvice(err))
	}
	return offered, r.step("tenant")
}

// application registers the application, unless that is done. A registration whose answer
// was lost is looked for by its marker before another one is made.
func (r *run) application(ctx context.Context, a *admin, store *credential.Store, offered graph.ServicePrincipal) error {
	s := r.state
	if s.AppID != "" {
		return nil
	}
	registration, err := r.registration(store, offered)
	if err != nil {
		return err
	}
	var app graph.Application
	err = r.until(ctx, "The registration of the application is still being looked for.", func() (bool, error) {
		if !s.Asked.IsZero() {
			found, err := a.FindApplications(ctx, s.Marker, s.Choices.Name)
			if err != nil {
				return false, err
			}
			if len(found) > 0 {
				app = found[0]
				return false, nil
			}
			if time.Since(s.Asked) < r.o.pace.settle {
				return true, errNotKnown
			}
		}
		s.Asked = time.Now().UTC()
		s.Tries++
		if err := r.step("create application"); err != nil {
			return false, err
		}
		app, err = a.CreateApplication(ctx, registration)
		if err != nil && !graph.Ambiguous(err) { // nothing was made that could be looked for
			s.Asked = time.Time{}
		} else if err != nil {
			s.Asked = time.Now().UTC() // it may have been made just now
		}
		return graph.Ambiguous(err), err
	})
	if err != nil {
		return err
	}
	s.AppID, s.ClientID = app.ID, app.ClientID
	if err := r.step("application"); err != nil {
		return err
	}
	r.say("Registered the application %q, client ID %s.", s.Choices.Name, app.ClientID)
	return nil
}

// rememberKeys records the IDs under which Entra has the certificates. The relay needs them to
// renew the certificates.
func (r *run) rememberKeys(ctx context.Context, a *admin, store *credential.Store) error {
	if store.ObjectID() != "" {
		return nil
	}
	var app graph.Application
	err := r.until(ctx, "Entra does not know the new application everywhere yet.", func() (again bool, err error) {
		app, err = a.Application(ctx, r.state.AppID)
		return errors.Is(err, graph.ErrNotRegistered), err
	})
	if err != nil {
		return err
	}
	var ids []string
	for _, c := range store.Certificates() {
		ids = append(ids, app.KeyID(c.Raw))
	}
	return store.Register(app.ID, ids...)
}

// removeOthers removes further registrations of this set-up, whose answers were lost and which
// were not found in time, so that one is left.
func (r *run) removeOthers(ctx context.Context, a *admin) error {
	if r.state.Tries < 2 {
		return nil
	}
	found, err := a.FindApplications(ctx, r.state.Marker, r.state.Choices.Name)
	if err != nil {
		return err
	}
	for _, app := range found {
		if app.ID == r.state.AppID {
			continue
		}
		if err := r.step("delete application"); err != nil {
			return err
		}
		if err := a.DeleteApplication(ctx, app.ID); err != nil && !errors.Is(err, graph.ErrNotRegistered) {
			return err
		}
		r.say("Removed a second registration, client ID %s, whose answer had been lost.", app.ClientID)
	}
	return nil
}

// registration returns the description of the application to register.
func (r *run) registration(store *credential.Store, offered graph.ServicePrincipal) (graph.Registration, error) {
	host, _ := os.Hostname()
	reg := graph.Registration{DisplayName: r.state.Choices.Name, Audience: "AzureADMyOrg", Tags: []string{r.state.Marker},
		Notes: "Made by graphrelay setup on " + text.Shorten(text.OneLine(host), 100)}
	for i, c := range store.Certificates() {
		reg.Keys = append(reg.Keys, graph.RegistrationKey{Type: "AsymmetricX509Cert", Usage: "Verify", Key: c.Raw, DisplayName: keyNames[min(i, 1)]})
	}
	if roles := r.state.Choices.roles(); len(roles) > 0 && offered.ID != "" { // what the portal shows under API permissions
		access := graph.RequiredAccess{ResourceAppID: graph.GraphAppID}
		for _, name := range roles {
			id := offered.Role(name)
			if id == "" {
				return reg, fmt.Errorf("the Graph of this cloud does not offer the permission %s", name)
			}
			access.Access = append(access.Access, graph.RequiredRights{ID: id, Type: "Role"})
		}
		reg.Access = []graph.RequiredAccess{access}
	}
	return reg, nil
}

// keyNames are the names that Entra shows for the certificates.
var keyNames = []string{"graphrelay", "graphrelay standby"}

// principal makes the service principal of the application, or finds it.
func (r *run) principal(ctx context.Context, a *admin) error {
	s := r.state
	if s.Principal != "" {
		return nil
	}
	var p graph.ServicePrincipal
	asked := false
	err := r.until(ctx, "Entra does not know the new application everywhere yet.", func() (bool, error) {
		var err error
		if p, err = a.FindServicePrincipal(ctx, s.ClientID); !errors.Is(err, graph.ErrNotRegistered) {
			return false, err
		}
		if err := r.step("create service principal"); err != nil {
			return false, err
		}
		p, err = a.CreateServicePrincipal(ctx, s.ClientID)
		// A part of Entra that does not know the application yet answers 400, 403 or 404. One
		// that does not show the service principal yet refuses a second one with 409 or 400.
		again := isStatus(err, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict)
		asked = true
		return again, err
	})
	if err != nil {
		return err
	}
	s.Principal = p.ID
	if asked {
		r.say("Made its service principal, object ID %s.", p.ID)
	}
	return r.step("service principal")
}

// grants grants the permissions that the application is to have in the whole tenant.
func (r *run) grants(ctx context.Context, a *admin, offered graph.ServicePrincipal) error {
	s := r.state
	roles := s.Choices.roles()
	if s.Choices.Scope == Tenant && len(s.Grants) < len(roles) {
		r.say("The application may read EVERY mailbox of the tenant and send from it: that is what scope %s means.", Tenant)
	}
	for _, name := range roles {
		if slices.Contains(s.Grants, name) {
			continue
		}
		g := graph.Grant{Principal: s.Principal, Resource: offered.ID, Permission: offered.Role(name)}
		err := r.until(ctx, "Entra does not know the new service principal everywhere yet.", func() (bool, error) {
			has, err := a.Grants(ctx, s.Principal)
			if slices.ContainsFunc(has, func(h graph.Grant) bool { return h.Resource == g.Resource && h.Permission == g.Permission }) {
				return false, nil
			}
			if err != nil {
				return isStatus(err, http.StatusNotFound), err
			}
			if err := r.step("grant " + name); err != nil {
				return false, err
			}
			// 400 also means that the grant is there and not shown yet.
			err = a.CreateGrant(ctx, g)
			return isStatus(err, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict), err
		})
		if err != nil {
			return fmt.Errorf("grant %s: %w", name, err)
		}
		s.Grants = append(s.Grants, name)
		if err := r.step("granted"); err != nil {
			return err
		}
		r.say("Granted %s.", name)
	}
	return nil
}

// errNotKnown is the error while something that may exist cannot be found yet.
var errNotKnown = errors.New("it is not shown by Entra yet")

// until repeats try until it succeeds, for as long as Entra may need to know what was just
// made. try reports whether another try may succeed; a passing fault of Microsoft's is followed
// by another try in any case. until prints why once, before the second try.
func (r *run) until(ctx context.Context, why string, try func() (again bool, err error)) error {
	said := false
	end := time.Now().Add(r.o.pace.known)
	for {
		again, err := try()
		if err == nil {
			return nil
		}
		if again = again || graph.Busy(err) || graph.Ambiguous(err); !again || ctx.Err() != nil {
			return err
		}
		wait := max(r.o.pace.poll, retryAfter(err))
		if time.Now().Add(wait).After(end) {
			return fmt.Errorf("%w; this was tried for %s: run the command again to go on", err, r.o.pace.known)
		}
		if !said {
			r.say("%s Trying again for up to %s.", why, r.o.pace.known)
			said = true
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func retryAfter(err error) time.Duration {
	var e *graph.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

func isStatus(err error, statuses ...int) bool {
	var e *graph.Error
	return errors.As(err, &e) && slices.Contains(statuses, e.Status)
}

// adminAdvice adds what to do if the account may not do this.
func adminAdvice(err error) error {
	if isStatus(err, http.StatusForbidden, http.StatusUnauthorized) {
		return fmt.Errorf("%w; this account may not do that: run the command again and sign in as a Cloud Application Administrator, or, to grant permissions for the whole tenant, as a Global Administrator", err)
	}
	return err
}
