package simulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// writableProperties are the properties of an application that can be set, beside
// keyCredentials: "application resource type".
var writableProperties = []string{
	"api", "appRoles", "description", "displayName", "groupMembershipClaims", "identifierUris", "info", "isFallbackPublicClient", "notes",
	"optionalClaims", "publicClient", "requiredResourceAccess", "serviceManagementReference", "signInAudience", "spa", "tags", "web",
}

// set changes the application as the body of a request says.
func (a *application) set(body map[string]json.RawMessage) error {
	for name, raw := range body {
		if name == "keyCredentials" {
			var keys []keyJSON
			if json.Unmarshal(raw, &keys) != nil {
				return badRequest("Request_BadRequest", "Invalid value specified for property 'keyCredentials' of resource 'Application'.")
			}
			list, err := replaceKeys(a.keys, keys)
			if err != nil {
				return err
			}
			a.keys = list
			continue
		}
		if !slices.Contains(writableProperties, name) {
			return badRequest("Request_BadRequest", "Invalid property '%s'.", name)
		}
		var value any
		_ = json.Unmarshal(raw, &value) // cannot fail: the body was JSON
		a.properties[name] = value
	}
	if a.displayName() == "" || len(a.displayName()) > 256 {
		return badRequest("Request_BadRequest", "A value is required for property 'displayName' of resource 'Application'.")
	}
	return checkAccess(body["requiredResourceAccess"])
}

func (a *application) displayName() string {
	name, _ := a.properties["displayName"].(string)
	return name
}

// checkAccess checks the form of requiredResourceAccess, if there is any.
func checkAccess(raw json.RawMessage) error {
	type access struct{ ID, Type string }
	var list []struct {
		App    string   `json:"resourceAppId"`
		Access []access `json:"resourceAccess"`
	}
	valid := raw == nil || json.Unmarshal(raw, &list) == nil
	for _, resource := range list {
		valid = valid && isGUID(resource.App) && !slices.ContainsFunc(resource.Access, func(a access) bool {
			return !isGUID(a.ID) || a.Type != "Role" && a.Type != "Scope"
		})
	}
	if !valid {
		return badRequest("Request_BadRequest", "Invalid value specified for property 'requiredResourceAccess' of resource 'Application'.")
	}
	return nil
}

// createApplication serves "Create application".
func (c *call) createApplication() (response, error) {
	a := &application{id: newGUID(), appID: newGUID(), created: time.Now(), properties: map[string]any{"signInAudience": "AzureADMyOrg"}}
	var body map[string]json.RawMessage
	if err := c.readEntity(&body); err != nil {
		return response{}, err
	}
	if err := a.set(body); err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	if len(c.sim.directory.applications) >= maxDirectory {
		return response{}, refuse(http.StatusForbidden, "Directory_QuotaExceeded", "The directory object quota limit for the Tenant has been exceeded.")
	}
	c.sim.directory.applications = append(c.sim.directory.applications, a)
	return jsonResponse(http.StatusCreated, a.json(c.sim.world(), nil, false)), nil
}

// json returns the application as an answer has it.
func (a *application) json(w *settings, selected []string, one bool) map[string]any {
	keys := []map[string]any{}
	for _, k := range a.keys {
		keys = append(keys, k.json(w, one && slices.Contains(selected, "keyCredentials")))
	}
	all := map[string]any{"id": a.id, "appId": a.appID, "deletedDateTime": nil, "createdDateTime": a.created.UTC().Format(time.RFC3339),
		"publisherDomain": "contoso.onmicrosoft.com", "keyCredentials": keys, "passwordCredentials": []any{}}
	if !a.deleted.IsZero() {
		all["deletedDateTime"] = a.deleted.UTC().Format(time.RFC3339)
	}
	for _, name := range writableProperties {
		all[name] = a.properties[name]
	}
	return selectProperties(all, selected)
}

func selectProperties(all map[string]any, selected []string) map[string]any {
	if len(selected) == 0 {
		return all
	}
	out := map[string]any{}
	for _, name := range selected {
		if value, known := all[name]; known {
			out[name] = value
		}
	}
	return out
}

func (c *call) getApplication() (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	a, ok := c.sim.findApplication(c.r.PathValue("id"))
	if !ok {
		return response{}, resourceNotFound(c.r.PathValue("id"))
	}
	q, err := c.entityQuery("Application")
	if err != nil {
		return response{}, err
	}
	return jsonResponse(http.StatusOK, a.json(c.sim.world(), q.selected, true)), nil
}

func (c *call) listApplications() (response, error) {
	q, err := c.entityQuery("Application")
	if err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	list := []map[string]any{}
	for _, a := range c.sim.directory.applications {
		if a.deleted.IsZero() && c.sim.world().settled(a.created) && q.matchesApplication(a) {
			list = append(list, a.json(c.sim.world(), q.selected, false))
		}
	}
	return c.page("applications", list, q)
}

// updateApplication serves "Update application". keyCredentials replace those there were.
func (c *call) updateApplication() (response, error) {
	var body map[string]json.RawMessage
	if err := c.readEntity(&body); err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	a, ok := c.sim.findApplication(c.r.PathValue("id"))
	if !ok {
		return response{}, resourceNotFound(c.r.PathValue("id"))
	}
	changed := application{id: a.id, keys: a.keys, properties: maps.Clone(a.properties)}
	if err := changed.set(body); err != nil {
		return response{}, err
	}
	a.keys, a.properties = changed.keys, changed.properties
	return emptyResponse(http.StatusNoContent), nil
}

// deleteApplication moves an application to the deleted items, and removes its service
// principal.
func (c *call) deleteApplication() (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	a, ok := c.sim.findApplication(c.r.PathValue("id"))
	if !ok {
		return response{}, resourceNotFound(c.r.PathValue("id"))
	}
	a.deleted = time.Now()
	d := &c.sim.directory
	d.principals = slices.DeleteFunc(d.principals, func(p *principal) bool { return p.appID == a.appID })
	return emptyResponse(http.StatusNoContent), nil
}

func (c *call) listDeleted() (response, error) {
	q, err := c.entityQuery("Application")
	if err != nil {
		return response{}, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	list := []map[string]any{}
	for _, a := range c.sim.directory.applications {
		if !a.deleted.IsZero() && q.matchesApplication(a) {
			list = append(list, a.json(c.sim.world(), q.selected, false))
		}
	}
	return c.page("directoryObjects", list, q)
}

// deletedIndex returns the index of a deleted application. The caller holds s.mu.
func (c *call) deletedIndex() (int, error) {
	n := slices.IndexFunc(c.sim.directory.applications, func(a *application) bool {
		return !a.deleted.IsZero() && strings.EqualFold(a.id, c.r.PathValue("id"))
	})
	if n < 0 {
		return 0, resourceNotFound(c.r.PathValue("id"))
	}
	return n, nil
}

func (c *call) removeDeleted() (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	n, err := c.deletedIndex()
	if err != nil {
		return response{}, err
	}
	c.sim.directory.applications = slices.Delete(c.sim.directory.applications, n, n+1)
	return emptyResponse(http.StatusNoContent), nil
}

func (c *call) restoreDeleted() (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	n, err := c.deletedIndex()
	if err != nil {
		return response{}, err
	}
	a := c.sim.directory.applications[n]
	a.deleted = time.Time{}
	return jsonResponse(http.StatusOK, a.json(c.sim.world(), nil, false)), nil
}
