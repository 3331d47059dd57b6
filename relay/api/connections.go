package api

import (
	"context"
	"net/http"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/trial"
)

// ConnectionList is all connections.
type ConnectionList struct {
	Connections []operations.Connection `json:"connections" nullable:"false" doc:"The connections of the configuration in use, in its order."`
}

type connectionInput struct {
	Body struct {
		Connection string `json:"connection" maxLength:"64" doc:"The name of the connection." example:"contoso"`
		Mailbox    string `json:"mailbox,omitempty" maxLength:"254" doc:"The mailbox to look into. Without it, those that the configuration names."`
	}
}

type probeInput struct {
	Body struct {
		Connection string `json:"connection" maxLength:"64" doc:"The name of the connection."`
		Mailbox    string `json:"mailbox" maxLength:"254" doc:"The mailbox in which drafts are made and to which mail is sent."`
	}
}

func (s *server) addConnections() {
	add(s, operation{id: "list-connections", method: http.MethodGet, path: "/connections", tag: "connections", role: operators.Viewer,
		summary: "List connections", description: "Lists the connections: whether they work, what they may do, when their credentials expire, and what the newest trial of each has found. No secret is in the answer."},
		func(ctx context.Context, _ *struct{}) (*body[ConnectionList], error) {
			list, err := s.signIns.Connections(ctx)
			return answer(ConnectionList{append([]operations.Connection{}, list...)}, err)
		})
	add(s, operation{id: "check-connection", method: http.MethodPost, path: "/connections/check", tag: "connections", role: operators.Operator,
		summary: "Check a connection", description: "Begins to check a connection as graphrelay check --online does. The list of connections shows what it finds. One trial runs at a time.", errors: []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *connectionInput) (*struct{}, error) {
			return nil, s.signIns.TryConnection(ctx, by(ctx), trial.Request{Connection: in.Body.Connection, Mailbox: in.Body.Mailbox})
		})
	add(s, operation{id: "probe-connection", method: http.MethodPost, path: "/connections/probe", tag: "connections", role: operators.Admin,
		summary: "Probe a connection", description: "Begins to probe a connection as graphrelay probe does: it makes drafts in a mailbox and sends mail to it, and removes both. It takes some minutes.", errors: []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *probeInput) (*struct{}, error) {
			return nil, s.signIns.TryConnection(ctx, by(ctx), trial.Request{Connection: in.Body.Connection, Mailbox: in.Body.Mailbox, Probe: true})
		})
	add(s, operation{id: "stop-trial", method: http.MethodPost, path: "/connections/stop", tag: "connections", role: operators.Operator,
		summary: "Stop a trial", description: "Ends the check or probe that runs. A probe first removes what it has made.", errors: []int{http.StatusConflict}},
		func(ctx context.Context, _ *struct{}) (*struct{}, error) {
			return nil, s.signIns.StopTrial(ctx, by(ctx))
		})
}

var _ operations.SignIns = Client{}

// Connections implements operations.SignIns.
func (c Client) Connections(ctx context.Context) ([]operations.Connection, error) {
	l, err := get[ConnectionList](ctx, c, "/connections", nil)
	return l.Connections, err
}

// TryConnection implements operations.SignIns.
func (c Client) TryConnection(ctx context.Context, _ string, r trial.Request) error {
	path, in := "/connections/check", map[string]string{"connection": r.Connection}
	if r.Probe {
		path = "/connections/probe"
	}
	if r.Mailbox != "" || r.Probe {
		in["mailbox"] = r.Mailbox
	}
	_, err := post[struct{}](ctx, c, path, in)
	return err
}

// StopTrial implements operations.SignIns.
func (c Client) StopTrial(ctx context.Context, _ string) error {
	_, err := post[struct{}](ctx, c, "/connections/stop", nil)
	return err
}
