package relay

import (
	"context"
	"errors"
	"net/http"
	"time"

	"graphrelay/relay/admin"
	"graphrelay/relay/api"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// Live returns what only the relay itself can tell or do.
func (r *Relay) Live() operations.Live { return live{r} }

// API returns the API, for whoever knows who makes a request (see package api).
func (r *Relay) API() http.Handler { return r.api }

func (r *Relay) newAPI() (http.Handler, error) {
	return api.New(api.Config{Operations: r.Operations(), Live: r.Live(), Edge: r, SignIns: r, Alerts: r, Overview: r, Version: r.about.Version,
		Content: func(p operators.Person) bool {
			return p.Way == operators.ByCommand || r.generation().cfg.Admin.ShowContent
		}})
}

// Drain has this relay take no more lanes of a queue that others share, or ends that, as
// graphrelay nodes drain does.
func (r *Relay) Drain(ctx context.Context, by string, on bool) error {
	return r.Operations().Drain(ctx, by, r.node.Name, on)
}

// FromFile says which file the configuration is from, and what has the relay read it again:
// ReloadFile, at a time when whoever runs the relay is ready for it.
func (r *Relay) FromFile(path string, reload func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file, r.reload = path, reload
}

// live is a relay as operators control it.
type live struct{ *Relay }

var errNoFile = errors.New("the configuration of this relay is from no file")

func (l live) source() (path string, reload func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reload == nil {
		return "", nil, errNoFile
	}
	return l.file, l.reload, nil
}

// ReloadFile implements operations.Live.
func (l live) ReloadFile(ctx context.Context) error {
	_, reload, err := l.source()
	if err != nil {
		return err
	}
	admin.Unawaited(ctx) // the reload ends the server that may serve this request
	now := time.Now()
	a := queue.Audit{ID: queue.NewID(now), At: now, By: operators.Of(ctx).String(), Action: "reload", On: "configuration"}
	l.tryAudit(ctx, a)
	if err := refusalOf(reload()); err != nil {
		return err
	}
	a.Changed = 1
	l.tryAudit(context.WithoutCancel(ctx), a)
	return nil
}

// tryAudit records an action that has to be possible also while the queue cannot be written.
func (r *Relay) tryAudit(ctx context.Context, a queue.Audit) {
	if err := r.store.SetAudit(ctx, a); err != nil {
		r.Log().Error("cannot record in the audit log", "action", a.Action, "by", a.By, "error", err)
	}
}

// DiffFile implements operations.Live.
func (l live) DiffFile(context.Context) (operations.Difference, error) {
	path, _, err := l.source()
	if err != nil {
		return operations.Difference{}, err
	}
	changes, err := l.Relay.DiffFile(path)
	return operations.Difference{File: path, Changes: changes}, refusalOf(err)
}

// ConsoleLink implements operations.Live.
func (l live) ConsoleLink(_ context.Context, by string) (string, error) {
	link, err := l.Relay.ConsoleLink(by, 0)
	return link, refusalOf(err)
}

func refusalOf(err error) error {
	if err == nil {
		return nil
	}
	return operations.Refusal(err.Error())
}
