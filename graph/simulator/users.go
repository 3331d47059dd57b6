package simulator

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// User is an entry of the directory that has more than an address. Every mailbox has an
// entry; only those with aliases or data need to be in Options.
type User struct {
	Address string            // primary address of the mailbox
	UPN     string            // user principal name, with which the owner signs in; "" is Address
	Aliases []string          // other addresses of the mailbox; Graph finds no path with them
	Data    map[string]string // properties such as displayName; businessPhones has one number
}

const maxUsers = 5

func (s *Simulator) serveUsers(w http.ResponseWriter, r *http.Request) {
	c := s.newCall(r, OpFindUser)
	s.checkContract(c)
	s.serve(w, c, func(c *call) (func(), error) { return func() {}, c.authenticate() }, (*call).listUsers)
}

// listUsers serves "List users" with a $filter that searches for an address: a disjunction
// of userPrincipalName eq, mail eq and proxyAddresses/any(p:p eq ...).
func (c *call) listUsers() (response, error) {
	needed := []string{"User.Read.All", "Directory.Read.All"}
	if !slices.ContainsFunc(needed, func(role string) bool { return slices.Contains(c.roles, role) }) {
		return response{}, refuse(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
	}
	query := c.r.URL.Query()
	for name := range query {
		if strings.HasPrefix(name, "$") && !slices.Contains([]string{"$filter", "$select", "$top"}, name) {
			return response{}, badRequest("Request_UnsupportedQuery", "The query option '%s' is not simulated.", name)
		}
	}
	conditions, err := parseUserFilter(query.Get("$filter"))
	if err == nil {
		err = c.sim.world().checkUserFilter(conditions)
	}
	if err != nil {
		return response{}, err
	}
	found := map[string]bool{}
	for _, condition := range conditions {
		if address, ok := c.sim.findUser(condition); ok {
			found[address] = true
		}
	}
	list := []map[string]any{}
	for _, address := range slices.Sorted(maps.Keys(found)) {
		if len(list) < maxUsers {
			list = append(list, c.sim.userJSON(address, strings.Split(query.Get("$select"), ",")))
		}
	}
	return jsonResponse(http.StatusOK, map[string]any{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": list}), nil
}

// userCondition compares a property with a value. Only the prefix of proxyAddresses is
// compared with regard to case.
type userCondition struct{ property, value string }

// parseUserFilter parses the $filter of listUsers.
func parseUserFilter(text string) (list []userCondition, err error) {
	p := &parser{text: text}
	for {
		property := p.word()
		lambda := property == "proxyAddresses"
		if lambda && !p.take("/any(p:p") || !lambda && property != "userPrincipalName" && property != "mail" {
			return nil, badRequest("Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified for property '%s' of resource 'User'.", property)
		}
		value, ok := p.equals()
		if !ok || lambda && !p.take(")") {
			return nil, badRequest("BadRequest", "Invalid filter clause.")
		}
		list = append(list, userCondition{property, value})
		if p.done() {
			return list, nil
		}
		if p.word() != "or" {
			return nil, badRequest("BadRequest", "Invalid filter clause.")
		}
	}
}

// findUser returns the lower-case address of the mailbox that meets the condition.
func (s *Simulator) findUser(c userCondition) (address string, ok bool) {
	value, prefix := strings.ToLower(c.value), ""
	if c.property == "proxyAddresses" {
		prefix, value, _ = strings.Cut(value, ":")
		if prefix != "smtp" {
			return "", false
		}
		prefix, _, _ = strings.Cut(c.value, ":")
	}
	for _, u := range s.options.Users {
		if prefix == "smtp" && slices.ContainsFunc(u.Aliases, func(a string) bool { return strings.EqualFold(a, value) }) {
			return strings.ToLower(u.Address), true
		}
	}
	if c.property == "userPrincipalName" {
		address = s.addressOf(value)
		return address, s.upn(address) == value && s.mailboxExists(address)
	}
	return value, prefix != "smtp" && s.addressOf(value) == value && s.mailboxExists(value)
}

// userJSON returns the selected properties of a user.
func (s *Simulator) userJSON(address string, selected []string) map[string]any {
	all := map[string]any{"id": objectID(address), "userPrincipalName": s.upn(address), "mail": address, "displayName": address, "businessPhones": []string{}}
	proxies := []string{"SMTP:" + address}
	for _, u := range s.options.Users {
		if !strings.EqualFold(u.Address, address) {
			continue
		}
		for _, alias := range u.Aliases {
			proxies = append(proxies, "smtp:"+alias)
		}
		for name, value := range u.Data {
			all[name] = value
		}
		if phone := u.Data["businessPhones"]; phone != "" {
			all["businessPhones"] = []string{phone}
		}
	}
	all["proxyAddresses"] = proxies
	s.mu.Lock()
	s.objectIDs[objectID(address)] = address // so that paths can have it
	s.mu.Unlock()
	out := map[string]any{}
	for _, name := range selected {
		if value, known := all[name]; known {
			out[name] = value
		} else {
			out[name] = nil
		}
	}
	return out
}

// isAlias reports whether the address is an alias of any mailbox. Aliases are found in the
// directory, but not in paths.
func (s *Simulator) isAlias(address string) bool {
	_, ok := s.aliasOwner(address)
	return ok
}

// aliasOf reports whether the address is an alias of the mailbox.
func (s *Simulator) aliasOf(mailbox, address string) bool {
	return slices.ContainsFunc(s.options.Users, func(u User) bool {
		return strings.EqualFold(u.Address, mailbox) && slices.ContainsFunc(u.Aliases, func(a string) bool { return strings.EqualFold(a, address) })
	})
}

// aliasOwner returns the user with this lower-case alias.
func (s *Simulator) aliasOwner(alias string) (User, bool) {
	n := slices.IndexFunc(s.options.Users, func(u User) bool {
		return slices.ContainsFunc(u.Aliases, func(a string) bool { return strings.EqualFold(a, alias) })
	})
	if n < 0 {
		return User{}, false
	}
	return s.options.Users[n], true
}

// userOf returns the user with this lower-case address or alias.
func (s *Simulator) userOf(address string) (User, bool) {
	for _, u := range s.options.Users {
		if strings.EqualFold(u.Address, address) {
			return u, true
		}
	}
	return s.aliasOwner(address)
}

// addressOf returns the lower-case address of the user with this principal name, or the
// lower-case name if no user has it.
func (s *Simulator) addressOf(name string) string {
	for _, u := range s.options.Users {
		if u.UPN != "" && strings.EqualFold(u.UPN, name) {
			return strings.ToLower(u.Address)
		}
	}
	return strings.ToLower(name)
}

// upn returns the lower-case principal name of the user with this lower-case address.
func (s *Simulator) upn(address string) string {
	for _, u := range s.options.Users {
		if u.UPN != "" && strings.EqualFold(u.Address, address) {
			return strings.ToLower(u.UPN)
		}
	}
	return address
}

// displayName returns the name of the user with this lower-case address.
func (s *Simulator) displayName(address string) string {
	for _, u := range s.options.Users {
		if name := u.Data["displayName"]; name != "" && strings.EqualFold(u.Address, address) {
			return name
		}
	}
	return address
}
