package simulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const maxEntity = 1 << 20

func requestDenied() *apiError {
	return refuse(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
}

func resourceNotFound(key string) *apiError {
	return refuse(http.StatusNotFound, "Request_ResourceNotFound",
		"Resource '%s' does not exist or one of its queried reference-property objects are not present.", strings.TrimPrefix(key, "appId="))
}

// directoryRoutes registers the requests with which applications are administered.
func (s *Simulator) directoryRoutes(mux *http.ServeMux) {
	const (
		applications = "/v1.0/applications"
		principals   = "/v1.0/servicePrincipals"
		granted      = principals + "/{id}/appRoleAssignments"
		grantedTo    = principals + "/{id}/appRoleAssignedTo"
		deleted      = "/v1.0/directory/deletedItems"
	)
	handle := func(pattern string, op Operation, run handler, permissions ...string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.serve(w, s.newCall(r, op), func(c *call) (func(), error) {
				err := c.authenticate()
				if err == nil && len(permissions) > 0 && !c.mayAdminister(permissions...) {
					err = requestDenied()
				}
				return func() {}, err
			}, run)
		})
	}
	read := []string{"Application.Read.All", "Application.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	const write, assign = "Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"
	handle("GET /v1.0/organization", OpOrganization, (*call).listOrganization, "Organization.Read.All", "Directory.Read.All", "User.Read")
	handle("GET "+applications, OpApplications, (*call).listApplications, read...)
	handle("POST "+applications, OpApplications, (*call).createApplication, write)
	handle("GET "+applications+"/{id}", OpApplications, (*call).getApplication, read...)
	handle("PATCH "+applications+"/{id}", OpApplications, (*call).updateApplication, write)
	handle("DELETE "+applications+"/{id}", OpApplications, (*call).deleteApplication, write)
	handle("POST "+applications+"/{id}/addKey", OpAddKey, (*call).addKey)
	handle("POST "+applications+"/{id}/microsoft.graph.addKey", OpAddKey, (*call).addKey)
	handle("POST "+applications+"/{id}/removeKey", OpRemoveKey, (*call).removeKey)
	handle("POST "+applications+"/{id}/microsoft.graph.removeKey", OpRemoveKey, (*call).removeKey)
	handle("GET "+deleted+"/microsoft.graph.application", OpApplications, (*call).listDeleted, read...)
	handle("DELETE "+deleted+"/{id}", OpApplications, (*call).removeDeleted, write)
	handle("POST "+deleted+"/{id}/restore", OpApplications, (*call).restoreDeleted, write)
	handle("GET "+principals, OpServicePrincipals, (*call).listPrincipals, read...)
	handle("POST "+principals, OpServicePrincipals, (*call).createPrincipal, write)
	handle("GET "+principals+"/{id}", OpServicePrincipals, (*call).getPrincipal, read...)
	handle("DELETE "+principals+"/{id}", OpServicePrincipals, (*call).deletePrincipal, write)
	handle("GET "+granted, OpRoleAssignments, (*call).listAssignments, append(read, assign)...)
	handle("POST "+granted, OpRoleAssignments, (*call).assignRole, assign)
	handle("DELETE "+granted+"/{assignment}", OpRoleAssignments, (*call).removeAssignment, assign)
	handle("GET "+grantedTo, OpRoleAssignments, (*call).listAssigned, append(read, assign)...)
	handle("POST "+grantedTo, OpRoleAssignments, (*call).assignRole, assign)
	handle("DELETE "+grantedTo+"/{assignment}", OpRoleAssignments, (*call).removeAssignment, assign)
}

// alternateKeys rewrites a path such as /v1.0/applications(appId='x')/addKey to
// /v1.0/applications/appId=x/addKey.
func alternateKeys(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, set := range []string{"/v1.0/applications", "/v1.0/servicePrincipals"} {
			rest, ok := strings.CutPrefix(r.URL.Path, set+"(appId='")
			key, rest, closed := strings.Cut(rest, "')")
			if ok && closed && isGUID(key) {
				r = r.Clone(r.Context())
				r.URL.Path, r.URL.RawPath = set+"/appId="+key+rest, ""
			}
		}
		next.ServeHTTP(w, r)
	})
}

// mayAdminister reports whether the token has one of the permissions. A user's token is good
// for them only if the user is an administrator.
func (c *call) mayAdminister(permissions ...string) bool {
	return slices.ContainsFunc(permissions, func(name string) bool { return slices.Contains(c.roles, name) }) && (c.user == "" || c.sim.isAdmin(c.user))
}

// readEntity decodes the JSON object in the body. It refuses properties that the target does
// not have.
func (c *call) readEntity(target any) error {
	if c.mediaType() != "application/json" {
		return badRequest("Request_BadRequest", "Write requests (excluding DELETE) must contain the Content-Type header declaration.")
	}
	data, err := c.readBody(maxEntity)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil || decoder.More() {
		if name, unknown := strings.CutPrefix(errorText(err), "json: unknown field "); unknown {
			return badRequest("Request_BadRequest", "Invalid property '%s'.", strings.Trim(name, `"`))
		}
		return badRequest("Request_BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	return nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// entityQuery has the query options of a GET in the directory.
type entityQuery struct {
	property, value string // of $filter, "" if there is none
	selected        []string
	top, skip       int
}

// entityQuery parses $filter (with appId eq or displayName eq, or with a tag of an application),
// $select, $top and $skiptoken. It refuses all others.
func (c *call) entityQuery(resource string) (q entityQuery, err error) {
	q.top = 100
	for name, values := range c.r.URL.Query() {
		switch value := values[0]; name {
		case "$select":
			q.selected = strings.Split(strings.ReplaceAll(value, " ", ""), ",")
		case "$filter":
			p := &parser{text: value}
			var ok bool
			if tag, is := strings.CutPrefix(value, "tags/any(t:t eq '"); is && resource == "Application" {
				if q.value, ok = strings.CutSuffix(tag, "')"); !ok || strings.Contains(q.value, "'") {
					return q, badRequest("Request_BadRequest", "Invalid filter clause.")
				}
				q.property = "tags"
				continue
			}
			if q.property = p.word(); !slices.Contains([]string{"appId", "displayName", "id"}, q.property) {
				return q, badRequest("Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified for property '%s' of resource '%s'.", q.property, resource)
			}
			if q.value, ok = p.equals(); !ok || !p.done() {
				return q, badRequest("Request_BadRequest", "Invalid filter clause.")
			}
			if q.property != "displayName" && !isGUID(q.value) {
				return q, badRequest("Request_BadRequest", "Invalid value specified for property '%s' of resource '%s'.", q.property, resource)
			}
		case "$top":
			if q.top, err = strconv.Atoi(value); err != nil || q.top < 1 || q.top > 999 {
				return q, badRequest("Request_BadRequest", "Invalid page size specified: '%s'. Must be between 1 and 999 inclusive.", value)
			}
		case "$skiptoken":
			if q.skip, err = strconv.Atoi(value); err != nil || q.skip < 0 {
				return q, badRequest("Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request.")
			}
		default:
			if strings.HasPrefix(name, "$") {
				return q, badRequest("Request_UnsupportedQuery", "The query option '%s' is not simulated.", name)
			}
		}
	}
	return q, nil
}

// matches reports whether an object meets the $filter.
func (q entityQuery) matches(id, appID, displayName string) bool {
	value := map[string]string{"id": id, "appId": appID, "displayName": displayName}[q.property]
	return q.property == "" || strings.EqualFold(value, q.value)
}

// matchesApplication is matches for an application.
func (q entityQuery) matchesApplication(a *application) bool {
	if q.property != "tags" {
		return q.matches(a.id, a.appID, a.displayName())
	}
	tags, _ := a.properties["tags"].([]any)
	return slices.Contains(tags, any(q.value))
}

// page returns the page of a list that the query asks for.
func (c *call) page(set string, list []map[string]any, q entityQuery) (response, error) {
	body := map[string]any{"@odata.context": graphResource + "/v1.0/$metadata#" + set}
	list = list[min(q.skip, len(list)):]
	if len(list) > q.top {
		list = list[:q.top]
		query := c.r.URL.Query()
		query.Set("$skiptoken", strconv.Itoa(q.skip+q.top))
		next := url.URL{Scheme: c.scheme(), Host: c.r.Host, Path: c.r.URL.Path, RawQuery: query.Encode()}
		body["@odata.nextLink"] = next.String()
	}
	body["value"] = list
	return jsonResponse(http.StatusOK, body), nil
}

// listOrganization serves "List organization".
func (c *call) listOrganization() (response, error) {
	domains := []map[string]any{}
	for n, name := range c.sim.domains() {
		domains = append(domains, map[string]any{"name": name, "isDefault": n == 0, "isInitial": strings.HasSuffix(name, ".onmicrosoft.com"), "type": "Managed", "capabilities": "Email"})
	}
	q, err := c.entityQuery("Organization")
	if err != nil {
		return response{}, err
	}
	org := map[string]any{"id": c.sim.options.TenantID, "displayName": "Contoso (simulated)", "tenantType": "AAD", "countryLetterCode": "CH", "verifiedDomains": domains}
	return c.page("organization", []map[string]any{selectProperties(org, q.selected)}, q)
}
