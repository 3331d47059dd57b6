package operations

import (
	"context"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/credential"
	"graphrelay/relay/reason"
	"graphrelay/relay/trial"
)

// SignIns is what only a running relay can tell of its connections, and try.
type SignIns interface {
	// Connections returns the connections of the configuration in use, in its order.
	Connections(ctx context.Context) ([]Connection, error)
	// TryConnection begins a trial of a connection, which goes on after it returns: Connections
	// shows its progress. One runs at a time: it returns trial.ErrRunning during another.
	TryConnection(ctx context.Context, by string, r trial.Request) error
	// StopTrial ends the trial that runs, or returns trial.ErrNotRunning.
	StopTrial(ctx context.Context, by string) error
}

// ConnectionState is what a connection does, in a word.
type ConnectionState string

// The states of a connection, the worst first.
const (
	ConnectionPaused  ConnectionState = "paused"     // none of its mail is sent
	ConnectionFailing ConnectionState = "failing"    // the last request for a token failed
	ConnectionWorking ConnectionState = "working"    // a token was got since the relay started
	ConnectionUnknown ConnectionState = "not tried"  // no token was asked for yet
	ConnectionClients ConnectionState = "by clients" // its clients bring their own credential
)

// Connection is an Entra application as an operator sees it. It has no secret.
type Connection struct {
	Name        string          `json:"name" doc:"The name of the connection."`
	SignIn      config.SignIn   `json:"sign_in" doc:"How it signs in."`
	Tenant      string          `json:"tenant" doc:"The tenant in Entra."`
	ClientID    string          `json:"client_id" doc:"The ID of the application in Entra."`
	Domains     []string        `json:"domains,omitempty" doc:"The domains of the senders that it serves."`
	State       ConnectionState `json:"state" doc:"What it does: paused, failing, working, not tried, or by clients."`
	PausedUntil *time.Time      `json:"paused_until,omitempty" doc:"When it is tried again."`
	PausedFor   reason.Reason   `json:"paused_for,omitempty" doc:"Why it is paused."`
	connection.Activity
	Credential   string              `json:"credential" doc:"What it signs in with, such as a client secret, if that expires."`
	Expires      *time.Time          `json:"expires,omitempty" doc:"When the credential expires, if that is known."`
	Notice       string              `json:"notice,omitempty" doc:"What to do about a credential that expires soon."`
	Certificates []credential.Status `json:"certificates,omitempty" doc:"The certificates with which it can sign in."`
	Connected    int                 `json:"connected_mailboxes" doc:"How many mailboxes their owners have connected."`
	Refused      []string            `json:"refused_mailboxes,omitempty" doc:"The mailboxes that have to be connected again."`
	Checked      *trial.Checked      `json:"checked,omitempty" doc:"The last check that came to its end."`
	Trial        *trial.Trial        `json:"trial,omitempty" doc:"The newest check or probe."`
}
