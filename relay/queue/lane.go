package queue

import "strings"

// Lane is one mailbox of one connection: the stream of deliveries that shares
// Graph's limits for that pair.
type Lane struct {
	Connection string `json:"connection"`
	// Principal is the sign-in name, in lower case, of a client whose own credential is
	// used; it is empty where the connection has the credential.
	Principal string `json:"principal,omitempty"`
	Mailbox   string `json:"mailbox"`
}

// principalMark is not allowed in the name of a connection.
const principalMark = "+"

// String returns "connection/mailbox", or "connection+principal/mailbox". Without a
// mailbox it is "connection", or "connection+principal".
func (l Lane) String() string {
	s := l.Connection
	if l.Principal != "" {
		s += principalMark + l.Principal
	}
	if l.Mailbox != "" {
		s += "/" + l.Mailbox
	}
	return s
}

// ParseLane reads what Lane.String returns.
func ParseLane(s string) Lane {
	s, mailbox, _ := strings.Cut(s, "/")
	connection, principal, _ := strings.Cut(s, principalMark)
	return Lane{Connection: connection, Principal: principal, Mailbox: mailbox}
}

// Whole returns the lane that stands for all of the same connection and principal.
func (l Lane) Whole() Lane { return Lane{Connection: l.Connection, Principal: l.Principal} }

// Covers reports whether l is m, or stands for m: the lane of a principal for all of the
// principal, that of a connection for all of the connection.
func (l Lane) Covers(m Lane) bool {
	return l == m || l == m.Whole() || l == Lane{Connection: m.Connection}
}
