package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/trial"
)

// connectionsPage says whether each connection can sign in and send, and tries it.
func connectionsPage() page {
	return page{path: "connections", name: "Connections", file: "connections.html", view: (*Console).connections, actions: []action{
		{path: "connections/resume", role: mayNarrow, do: (*Console).resumeConnection},
		{path: "connections/check", role: mayNarrow, do: (*Console).checkConnection},
		{path: "connections/stop", role: mayNarrow, do: (*Console).stopTrial},
	}}
}

// probePage has the form with which a probe is begun.
func probePage() page {
	return page{path: "connections/probe", within: "connections", title: "Probe a connection", file: "probe.html", view: (*Console).probeForm,
		actions: []action{{path: "connections/probe", role: mayWiden, do: (*Console).probeConnection}}}
}

type connectionsView struct {
	Connections []connectionView
}

// connectionView is a connection as a part of the page gets it.
type connectionView struct {
	operations.Connection
	May     bool // the person may try and resume it
	Probe   bool // the person may probe it, which sends mail
	Busy    bool // a trial of any connection runs
	Running bool // a trial of this one does
}

// Tone returns the class of the badge of the state.
func (v connectionView) Tone() string {
	switch v.State {
	case operations.ConnectionWorking:
		return "good"
	case operations.ConnectionPaused, operations.ConnectionFailing:
		return "bad"
	}
	return "info"
}

// warnDays is how many days before its expiry a credential is shown as a warning.
const warnDays = 30

// Days returns in how many days the credential expires, less than 0 after that.
func (v connectionView) Days() int {
	return int(time.Until(*v.Expires).Hours() / 24)
}

// ExpiryTone returns the class of the badge of the expiry.
func (v connectionView) ExpiryTone() string {
	switch {
	case !time.Now().Before(*v.Expires):
		return "bad"
	case v.Days() < warnDays:
		return "warn"
	}
	return "good"
}

func (c *Console) connections(r *http.Request) (any, error) {
	list, err := c.cfg.SignIns.Connections(r.Context())
	role := operators.Of(r.Context()).Role
	running := func(o operations.Connection) bool { return o.Trial != nil && o.Trial.Ended == nil }
	busy := slices.ContainsFunc(list, running)
	v := connectionsView{}
	for _, o := range list {
		v.Connections = append(v.Connections, connectionView{o, role >= mayNarrow, role >= mayWiden, busy, running(o)})
	}
	return v, err
}

func (c *Console) probeForm(r *http.Request) (any, error) {
	name := r.URL.Query().Get("connection")
	list, err := c.cfg.SignIns.Connections(r.Context())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(o operations.Connection) bool { return o.Name == name })
	if i < 0 {
		return nil, fault{http.StatusNotFound, "The configuration has no such connection."}
	}
	return list[i], nil
}

func (c *Console) checkConnection(r *http.Request) (done string, err error) {
	name := r.PostForm.Get("connection")
	return fmt.Sprintf("The connection %s is being checked. The page shows what is found.", name),
		c.cfg.SignIns.TryConnection(r.Context(), by(r), trial.Request{Connection: name})
}

func (c *Console) probeConnection(r *http.Request) (done string, err error) {
	q := trial.Request{Connection: r.PostForm.Get("connection"), Probe: true, Mailbox: strings.TrimSpace(r.PostForm.Get("mailbox"))}
	return fmt.Sprintf("The connection %s is being probed, which takes some minutes. The page shows each step.", q.Connection), c.cfg.SignIns.TryConnection(r.Context(), by(r), q)
}

func (c *Console) stopTrial(r *http.Request) (done string, err error) {
	return "The trial is being stopped. A probe removes what it has made first.", c.cfg.SignIns.StopTrial(r.Context(), by(r))
}

func (c *Console) resumeConnection(r *http.Request) (done string, err error) {
	name := r.PostForm.Get("connection")
	n, err := c.cfg.Ops.Resume(r.Context(), by(r), name)
	return fmt.Sprintf("%s of the connection %s ended; its mail is tried now.", plural(n, "pause", "pauses"), name), err
}
