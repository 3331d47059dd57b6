package relay

import (
	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/relay/config"
)

// signIn is how a connection gets its tokens.
func signIn(c config.Connection) graph.SignIn {
	app := entra.App{Tenant: c.Tenant, ClientID: c.ClientID, LoginURL: c.Endpoints.Login, GraphURL: c.Endpoints.Graph}
	return entra.ClientSecret{App: app, Secret: c.ClientSecret.Reveal()}
}
