package simulator

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// json returns the service principal as an answer has it.
func (p *principal) json(selected []string) map[string]any {
	roles := []map[string]any{}
	if p.appID == graphAppID {
		for _, r := range graphRoles {
			roles = append(roles, map[string]any{"id": r.id, "value": r.value, "displayName": r.value, "description": r.value,
				"allowedMemberTypes": []string{"Application"}, "isEnabled": true, "origin": "Application"})
		}
	}
	return selectProperties(map[string]any{"id": p.id, "appId": p.appID, "displayName": p.displayName, "accountEnabled": true,
		"servicePrincipalType": "Application", "appRoles": roles, "oauth2PermissionScopes": []any{}, "keyCredentials": []any{}, "tags": []any{}}, selected)
}

func (c *call) listPrincipals() (response, error) {
	q, err := c.entityQuery("ServicePrincipal")
	if err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	list := []map[string]any{}
	for _, p := range c.sim.directory.principals {
		if c.sim.world().settled(p.created) && q.matches(p.id, p.appID, p.displayName) {
			list = append(list, p.json(q.selected))
		}
	}
	return c.page("servicePrincipals", list, q)
}

// createPrincipal serves "Create servicePrincipal".
func (c *call) createPrincipal() (response, error) {
	var body struct {
		AppID          string   `json:"appId"`
		Tags           []string `json:"tags"`
		AccountEnabled *bool    `json:"accountEnabled"`
		Notes          *string  `json:"notes"`
	}
	if err := c.readEntity(&body); err != nil {
		return response{}, err
	}
	if !isGUID(body.AppID) {
		return response{}, badRequest("Request_BadRequest", "Invalid value specified for property 'appId' of resource 'ServicePrincipal'.")
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	a, ok := c.sim.findApplication("appId=" + body.AppID)
	d := &c.sim.directory
	switch {
	case slices.ContainsFunc(d.principals, func(p *principal) bool { return strings.EqualFold(p.appID, body.AppID) }):
		return response{}, refuse(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue",
			"The service principal cannot be created, updated, or restored because the service principal name %s is already in use.", body.AppID)
	case !ok:
		return response{}, badRequest("NoBackingApplicationObject", "The appId '%s' of the service principal does not reference a valid application object.", body.AppID)
	case len(d.principals) >= maxDirectory:
		return response{}, refuse(http.StatusForbidden, "Directory_QuotaExceeded", "The directory object quota limit for the Tenant has been exceeded.")
	}
	p := &principal{id: newGUID(), appID: a.appID, displayName: a.displayName(), created: time.Now()}
	d.principals = append(d.principals, p)
	return jsonResponse(http.StatusCreated, p.json(nil)), nil
}

// pathPrincipal returns the service principal in the path. The caller holds s.mu.
func (c *call) pathPrincipal() (*principal, error) {
	p, ok := c.sim.findPrincipal(c.r.PathValue("id"))
	if !ok {
		return nil, resourceNotFound(c.r.PathValue("id"))
	}
	return p, nil
}

func (c *call) getPrincipal() (response, error) {
	q, err := c.entityQuery("ServicePrincipal")
	if err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	p, err := c.pathPrincipal()
	if err != nil {
		return response{}, err
	}
	return jsonResponse(http.StatusOK, p.json(q.selected)), nil
}

func (c *call) deletePrincipal() (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	p, err := c.pathPrincipal()
	if err != nil {
		return response{}, err
	}
	if p.appID == graphAppID {
		return response{}, requestDenied()
	}
	d := &c.sim.directory
	d.principals = slices.DeleteFunc(d.principals, func(other *principal) bool { return other == p })
	return emptyResponse(http.StatusNoContent), nil
}

// json returns the assignment as an answer has it.
func (a assignment) json(p, graph *principal) map[string]any {
	return map[string]any{"id": a.id, "deletedDateTime": nil, "createdDateTime": a.created.UTC().Format(time.RFC3339), "appRoleId": a.role.id,
		"principalId": p.id, "principalDisplayName": p.displayName, "principalType": "ServicePrincipal",
		"resourceId": graph.id, "resourceDisplayName": graph.displayName}
}

// graph returns Microsoft Graph's own service principal. The caller holds s.mu.
func (d *directory) graph() *principal { return d.principals[0] }

// listAssignments serves "List appRoleAssignments granted to a service principal".
func (c *call) listAssignments() (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	p, err := c.pathPrincipal()
	if err != nil {
		return response{}, err
	}
	list := []map[string]any{}
	for _, a := range p.assignments {
		if c.sim.world().settled(a.created) {
			list = append(list, a.json(p, c.sim.directory.graph()))
		}
	}
	return c.page("appRoleAssignments", list, entityQuery{top: 100})
}

// listAssigned serves "List appRoleAssignments granted for a service principal": those of
// which it is the resource.
func (c *call) listAssigned() (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	resource, err := c.pathPrincipal()
	if err != nil {
		return response{}, err
	}
	list := []map[string]any{}
	for _, p := range c.sim.directory.principals {
		for _, a := range p.assignments {
			if resource.appID == graphAppID && c.sim.world().settled(a.created) {
				list = append(list, a.json(p, resource))
			}
		}
	}
	return c.page("appRoleAssignments", list, entityQuery{top: 100})
}

// assignRole serves "Grant an appRoleAssignment to a service principal", at the principal or
// at the resource.
func (c *call) assignRole() (response, error) {
	var body struct {
		Principal string `json:"principalId"`
		Resource  string `json:"resourceId"`
		Role      string `json:"appRoleId"`
	}
	if err := c.readEntity(&body); err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	at, err := c.pathPrincipal()
	if err != nil {
		return response{}, err
	}
	p, known := c.sim.findPrincipal(body.Principal)
	graph := c.sim.directory.graph()
	if !known || !isGUID(body.Resource) || !strings.EqualFold(body.Resource, graph.id) || at != p && at != graph {
		return response{}, badRequest("Request_BadRequest", "Not a valid reference update.")
	}
	n := slices.IndexFunc(graphRoles, func(r graphRole) bool { return strings.EqualFold(r.id, body.Role) })
	switch {
	case n < 0:
		return response{}, badRequest("Request_BadRequest", "Permission being assigned was not found on application")
	case slices.ContainsFunc(p.assignments, func(a assignment) bool { return a.role == graphRoles[n] }):
		return response{}, badRequest("Request_BadRequest", "Permission being assigned already exists on the object")
	}
	a := assignment{id: newSecret(), role: graphRoles[n], created: time.Now()}
	p.assignments = append(p.assignments, a)
	return jsonResponse(http.StatusCreated, a.json(p, graph)), nil
}

// removeAssignment serves "Delete appRoleAssignment".
func (c *call) removeAssignment() (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	if _, err := c.pathPrincipal(); err != nil {
		return response{}, err
	}
	id := c.r.PathValue("assignment")
	for _, p := range c.sim.directory.principals {
		if n := slices.IndexFunc(p.assignments, func(a assignment) bool { return a.id == id }); n >= 0 {
			p.assignments = slices.Delete(p.assignments, n, n+1)
			return emptyResponse(http.StatusNoContent), nil
		}
	}
	return response{}, resourceNotFound(id)
}
