// Package operators decides who operates the relay by browser and by API: it signs people in,
// keeps their sessions, and says who made a request and with which role.
//
// It promises that nothing of the console and of the API is served to anyone who has not signed
// in, that no page of another site acts in an operator's name, and that what it keeps of
// strangers is bounded. It does not decide what each role may do: handlers say so with Require.
package operators

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"graphrelay/relay/config"
)

// Role is what a person may do. Each role may do what those before it may.
type Role int

// The roles.
const (
	None     Role = iota // nothing: the person has not signed in
	Viewer               // see everything but the content of messages and secrets
	Operator             // act on messages, mailboxes and nodes, and read the content of messages
	Admin                // change the configuration and what else concerns the whole relay
)

// String returns the name that the configuration has for the role.
func (r Role) String() string {
	switch r {
	case Viewer:
		return "viewer"
	case Operator:
		return "operator"
	case Admin:
		return "admin"
	}
	return "none"
}

func roleOf(r config.Role) Role {
	switch r {
	case config.RoleViewer:
		return Viewer
	case config.RoleOperator:
		return Operator
	case config.RoleAdmin:
		return Admin
	}
	return None
}

// Way is how a person came in. It is part of what audits record.
type Way string

// The ways.
const (
	ByConsole Way = "console"
	ByOIDC    Way = "console, OpenID Connect"
	ByLink    Way = "console link" // that graphrelay console prints
	ByToken   Way = "API token"
	ByCommand Way = "command line" // by way of the socket in data_dir
)

// Person is who makes a request.
type Person struct {
	Name string // of the operator, of the token, or of the user of this system
	Role Role
	Way  Way
	From netip.Addr // the zero value: this machine
}

// String returns the person as audits record it, such as "anna (console, 192.0.2.7)".
func (p Person) String() string {
	if !p.From.IsValid() {
		return fmt.Sprintf("%s (%s)", p.Name, p.Way)
	}
	return fmt.Sprintf("%s (%s, %s)", p.Name, p.Way, p.From)
}

type personKey struct{}

// With returns a context whose person is p.
func With(ctx context.Context, p Person) context.Context {
	return context.WithValue(ctx, personKey{}, p)
}

// Of returns the person of a request that a Gate or With let in. Without one it returns the zero
// value, whose role is None.
func Of(ctx context.Context) Person {
	p, _ := ctx.Value(personKey{}).(Person)
	return p
}

// Require refuses requests of persons who do not have the role.
func Require(role Role, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := Of(r.Context()); p.Role < role {
			refuse(w, r, http.StatusForbidden, fmt.Sprintf("This needs the role %s, and %s has the role %s. Ask an administrator of the relay to change that under admin in its configuration.", role, p.Name, p.Role))
			return
		}
		h.ServeHTTP(w, r)
	})
}
