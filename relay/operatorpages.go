package relay

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"graphrelay/relay/api"
	"graphrelay/relay/operators"
)

// addOperatorPages adds the console and the API, which are served to persons who have signed in.
func (r *Relay) addOperatorPages(mux *http.ServeMux, g *generation) {
	pages := http.NewServeMux()
	r.console.Register(pages)
	pages.Handle(api.Prefix+"/", r.api)
	gate := operators.New(operators.Config{Admin: g.cfg.Admin, State: r.operators, Log: g.log}).Handler(pages)
	mux.Handle(operators.ConsolePath, gate)
	mux.Handle(operators.APIPath, gate)
	mux.Handle("GET /{$}", http.RedirectHandler(operators.ConsolePath, http.StatusFound))
}

// ConsoleLink returns a link with which a browser signs in to the console once, as administrator.
// by is who asked for it; life is operators.LinkLife if it is 0.
func (r *Relay) ConsoleLink(by string, life time.Duration) (string, error) {
	a := r.generation().cfg.Admin
	if why := a.ConsoleRefused(); why != "" {
		return "", errors.New(why)
	}
	base, err := url.Parse(a.BaseURL())
	if err != nil {
		return "", err
	}
	if a.URL == "" { // the port may be 0 in the configuration
		_, port, err := net.SplitHostPort(r.Address(a.Address))
		if err != nil {
			return "", err
		}
		base.Host = net.JoinHostPort(base.Hostname(), port)
	}
	return base.String() + operators.LinkPath(r.operators.Link(context.Background(), by, life, r.Log())), nil
}
