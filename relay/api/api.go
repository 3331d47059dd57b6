// Package api serves operations.Operations and operations.Live over HTTP as JSON, under /api/v1,
// with an OpenAPI 3.1 description that is made from this code. Its Client implements the same
// interfaces, so that a command works on a relay that runs as it does on the queue itself.
//
// The package does not find out who makes a request: whoever serves it puts an operators.Person
// into the request's context. It refuses requests without one, and those that need another role.
// Errors are problem details (RFC 9457). What a request can cost is bounded: the size of its body,
// the length of a text, the messages of a page; content is streamed.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"graphrelay/relay/admin"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// Prefix is what all paths of the API begin with.
const Prefix = "/api/v1"

// DescriptionPath is where the OpenAPI description is.
const DescriptionPath = Prefix + "/openapi.json"

// writeTime is how long a client may take to read the next part of an answer.
const writeTime = 30 * time.Second

// Config is what an API serves.
type Config struct {
	Operations operations.Operations
	Live       operations.Live
	Edge       operations.Edge
	SignIns    operations.SignIns
	Alerts     operations.Alerts
	Overview   operations.Overview
	Version    string // of the relay
	// Content reports whether a person may read the content of messages, if the role permits it; nil:
	// everybody may.
	Content func(operators.Person) bool
}

// server has the handlers.
type server struct {
	ops      operations.Operations
	live     operations.Live
	edge     operations.Edge
	signIns  operations.SignIns
	alerts   operations.Alerts
	overview operations.Overview
	version  string
	content  func(operators.Person) bool
	api      huma.API
}

// New returns a handler for all paths that begin with Prefix.
func New(cfg Config) (http.Handler, error) {
	mux := http.NewServeMux()
	s := &server{ops: cfg.Operations, live: cfg.Live, edge: cfg.Edge, signIns: cfg.SignIns, alerts: cfg.Alerts, overview: cfg.Overview, version: cfg.Version, content: cfg.Content, api: humago.New(mux, configuration(cfg.Version))}
	s.addMessages()
	s.addActions()
	s.addResend()
	s.addLanes()
	s.addNodes()
	s.addListeners()
	s.addConnections()
	s.addAlerts()
	s.addOverview()
	s.addRelay()
	description, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	mux.HandleFunc("GET "+DescriptionPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(description)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, &huma.ErrorModel{Status: http.StatusNotFound, Title: http.StatusText(http.StatusNotFound), Detail: "the API has no such operation; " + DescriptionPath + " describes those that it has"})
	})
	return unhurried(strict(mux)), nil
}

func configuration(version string) huma.Config {
	c := huma.DefaultConfig("graphrelay", version)
	c.Info.Description = `What an operator can see of a relay and do to it.

On the relay's own machine it is on the Unix socket of the relay's data_dir, where only the user of the relay and root can connect. At the admin address it takes the session of the console or an API token. Times are RFC 3339, sizes are in bytes. Texts that come from mail are as they came: make them safe before you show them.`
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "An API token, at the admin address. On the socket none is needed."},
	}
	c.Security = []map[string][]string{{"token": {}}, {}}
	c.Tags = []*huma.Tag{
		{Name: "messages", Description: "The messages of the queue, and of the delivery log."},
		{Name: "lanes", Description: "The mailboxes of each connection, whose deliveries share the limits of Graph."},
		{Name: "nodes", Description: "The relays that work on the queue."},
		{Name: "listeners", Description: "The ports that take mail, whom they refuse, and the devices that operators allow."},
		{Name: "connections", Description: "The Entra applications by which mailboxes are reached."},
		{Name: "alerts", Description: "What needs an operator, and who is told of it."},
		{Name: "relay", Description: "The relay that answers: what needs attention there, how mail flows, its configuration, and what operators did."},
	}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil // the description is made once, and no page loads from elsewhere
	c.NoFormatFallback = false
	c.RejectUnknownQueryParameters = true // a filter that is misspelt must not select everything
	return c
}

// operation is an operation of the API.
type operation struct {
	id, method, path, tag string
	role                  operators.Role
	summary, description  string
	errors                []int // statuses beside those that every operation has
	responses             map[string]*huma.Response
}

// add registers an operation. The handler gets requests of persons that have its role.
func add[I, O any](s *server, o operation, do func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: Prefix + o.path, Tags: []string{o.tag}, Summary: o.summary,
		Description:  fmt.Sprintf("%s\n\nIt needs the role %s.", o.description, o.role),
		Errors:       append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}, o.errors...),
		Responses:    o.responses,
		MaxBodyBytes: admin.MaxBody, BodyReadTimeout: -1, // the server bounds how long it takes
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
			if p := operators.Of(ctx.Context()); p.Role < o.role {
				_ = huma.WriteErr(s.api, ctx, refusal(p), fmt.Sprintf("this needs the role %s, and the request has the role %s", o.role, p.Role))
				return
			}
			next(ctx)
		}},
	}
	if o.method == http.MethodPost {
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge)
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, problem(err)
		}
		return out, nil
	})
}

// refusal returns the status for a person who does not have the role.
func refusal(p operators.Person) int {
	if p.Role == operators.None {
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// by returns who makes a request, as audits record it.
func by(ctx context.Context) string { return operators.Of(ctx).String() }

// strict refuses query parameters without a value and such as stand there twice: what they were
// meant to select is not known.
func strict(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(detail string) {
			writeProblem(w, &huma.ErrorModel{Status: http.StatusUnprocessableEntity, Title: http.StatusText(http.StatusUnprocessableEntity), Detail: detail})
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			refuse("the query cannot be read: " + err.Error())
			return
		}
		for name, values := range query {
			if len(values) > 1 {
				refuse(fmt.Sprintf("the parameter %q stands there twice; write several values with commas between them", name))
				return
			}
			if values[0] == "" {
				refuse(fmt.Sprintf("the parameter %q has no value; give it one, or leave it out", name))
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// unhurried lets an operation take its time, where the server bounds that of a whole request, and
// bounds instead how long a client may take to read each part of the answer.
func unhurried(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetWriteDeadline(time.Time{}) // a server that knows no deadlines has none to lift
		h.ServeHTTP(&unhurriedWriter{w, c}, r)
	})
}

type unhurriedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements http.ResponseWriter.
func (u *unhurriedWriter) Write(b []byte) (int, error) {
	_ = u.control.SetWriteDeadline(time.Now().Add(writeTime))
	return u.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (u *unhurriedWriter) Unwrap() http.ResponseWriter { return u.ResponseWriter }
