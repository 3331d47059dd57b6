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
	Name        string          `json:"name"`
	SignIn      config.SignIn   `json:"sign_in"`
	Tenant      string          `json:"tenant"`
	ClientID    string          `json:"client_id"`
	Domains     []string        `json:"domains,omitempty"`
	State       ConnectionState `json:"state"`
	PausedUntil *time.Time      `json:"paused_until,omitempty"`
	PausedFor   reason.Reason   `json:"paused_for,omitempty"`
	connection.Activity
	Credential   string              `json:"credential"`        // what it is, such as "client secret"; empty if there is none that expires
	Expires      *time.Time          `json:"expires,omitempty"` // nil: not known
	Notice       string              `json:"notice,omitempty"`  // what to do about a credential that expires soon
	Certificates []credential.Status `json:"certificates,omitempty"`
	Connected    int                 `json:"connected_mailboxes"`         // whose owners have signed in
	Refused      []string            `json:"refused_mailboxes,omitempty"` // whose owners have to sign in again
	Checked      *trial.Checked      `json:"checked,omitempty"`           // the last check
	Trial        *trial.Trial        `json:"trial,omitempty"`             // the newest
}
