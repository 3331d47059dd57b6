package api

import (
	"cmp"
	"context"
	"net"
	"net/http"

	"graphrelay/internal/text"
	"graphrelay/relay/operators"
)

// operatorHeader says which user of this system makes a request on the socket.
const operatorHeader = "Graphrelay-Operator"

// maxOperator bounds the bytes of that name.
const maxOperator = 200

// OnSocket serves h on a socket to which only the user of the relay and root can connect. Each of
// them is an administrator, by the name that the client says.
func OnSocket(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := cmp.Or(text.Shorten(text.Printable(r.Header.Get(operatorHeader)), maxOperator), "unknown")
		h.ServeHTTP(w, r.WithContext(operators.With(r.Context(), CommandLine(name))))
	})
}

// CommandLine returns a user of this system who uses the command line.
func CommandLine(user string) operators.Person {
	return operators.Person{Name: user, Role: operators.Admin, Way: operators.ByCommand}
}

// SocketClient returns a client that asks by way of a socket, in the name of a user of this system.
// It has to be closed.
func SocketClient(dial func(ctx context.Context) (net.Conn, error), user string) Client {
	return Client{
		HTTP:   &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}},
		URL:    "http://relay", // no name of a host: the socket is the relay's
		Header: http.Header{operatorHeader: {user}},
	}
}

// Close closes the connections that are not in use.
func (c Client) Close() { c.HTTP.CloseIdleConnections() }
