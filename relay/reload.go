package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/reason"
)

// errStopping means that the relay was stopped during a reload.
var errStopping = errors.New("the relay is stopping")

// Reload replaces the configuration with cfg. After an error the relay goes on
// with the old one. data_dir cannot change, since the queue stays where it is.
func (r *Relay) Reload(cfg *config.Config) error {
	err := fixed(r.generation().cfg, cfg)
	if err == nil {
		err = r.swap(cfg)
	}
	if err != nil {
		r.reloadFailed(err)
	}
	return err
}

func (r *Relay) reloadFailed(err error) {
	r.reloadFault.Store(err.Error())
	r.reloaded.Set(0)
}

// fixed returns an error if the configurations differ in what a reload cannot change.
func fixed(old, cfg *config.Config) error {
	if cfg.Queue.URL.Reveal() != old.Queue.URL.Reveal() {
		return errors.New("queue.url cannot change while graphrelay runs; restart it")
	}
	if cfg.DataDir != old.DataDir {
		return fmt.Errorf("data_dir cannot change from %s to %s while graphrelay runs; restart it", old.DataDir, cfg.DataDir)
	}
	return nil
}

// ReloadFile replaces the configuration with that of the file. It logs the result, and opens the
// log file again before, so that another program can rotate it.
func (r *Relay) ReloadFile(path string) error {
	r.reopenLog()
	cfg, err := config.Load(path)
	if err != nil {
		r.reloadFailed(err)
	} else {
		err = r.Reload(cfg)
	}
	if err != nil {
		r.Log().Error("cannot reload the configuration; the previous one stays in use", "error", err)
		return err
	}
	r.Log().Info("configuration reloaded")
	return nil
}

// DiffFile returns in what the configuration of the file differs from the one in use.
func (r *Relay) DiffFile(path string) ([]config.Change, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	old := r.generation().cfg
	return config.Diff(old, cfg), fixed(old, cfg)
}

// swap builds the next generation and, only once that is complete, ends the previous
// one. For a moment both deliver; they share the limits of each mailbox.
func (r *Relay) swap(cfg *config.Config) error {
	r.swapping.Lock()
	defer r.swapping.Unlock()
	r.mu.Lock()
	before := r.logFile
	r.mu.Unlock()
	file, err := openLog(cfg.Log, before, r.logTo)
	if err != nil {
		return err
	}
	next, err := r.build(cfg, NewLog(logWriter(file, r.logTo), cfg.Log, r.logAlso...))
	if err != nil {
		closeLog(file, before)
		return err
	}
	r.mu.Lock()
	previous := r.current
	err = errStopping
	if !r.stopping {
		err = r.openSockets(cfg)
	}
	if err != nil {
		r.mu.Unlock()
		closeLog(file, before)
		return errors.Join(err, next.closeMailboxes())
	}
	if previous != nil {
		next.inherit(previous)
	}
	if err := next.policy.RestoreRates(context.Background(), r.store); err != nil {
		next.log.Error("cannot read from the queue what was accepted today; the rates start from zero", "error", err)
	}
	r.guard.Configure(cfg.Limits.AuthFailures, time.Duration(cfg.Limits.AuthBlock))
	r.operators.Configure(cfg.Limits.AuthFailures, time.Duration(cfg.Limits.AuthBlock))
	r.limiter.SetLimits(connectionLimits(cfg))
	r.refusals.Retain(listenerNames(cfg))
	r.quota.SetLimits(dailyLimits(cfg), next.log)
	r.current, r.logFile = next, file
	if file != nil {
		file.SetRotation(rotation(cfg.Log))
	}
	next.start(r, r.sockets)
	if previous != nil {
		r.replaced.Add(1)
		defer r.replaced.Done()
	}
	r.mu.Unlock()
	r.devices.Reconfigure(cfg)
	hasConnection := func(name string) bool { return cfg.ConnectionOf("", name) != nil }
	r.activities.Retain(hasConnection)
	r.trials.Retain(hasConnection)
	r.alerts.Apply(alertSettings(cfg, r.node, next.log))
	for _, w := range cfg.Warnings() {
		next.log.Warn(w)
	}
	warnOfFiles(next.log, cfg, mostFiles())
	warnOfDirectory(next.log, cfg.DataDir)
	r.reloaded.Set(1)
	r.reloadFault.Store("")
	if previous != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		previous.stop(ctx)
		closeLog(before, file)
		if err := r.resumeConnections(ctx); err != nil {
			next.log.Error("cannot end the pauses of connections", "error", err)
		}
	}
	return r.closeSockets(cfg)
}

// resumeConnections ends the pauses of connections that were refused: the new
// configuration may have what they lacked.
func (r *Relay) resumeConnections(ctx context.Context) error {
	lanes, err := r.store.Lanes(ctx)
	for _, l := range lanes {
		if l.Mailbox == "" && l.PausedFor != reason.Operator {
			err = errors.Join(err, r.store.Resume(ctx, l.Lane))
		}
	}
	return err
}
