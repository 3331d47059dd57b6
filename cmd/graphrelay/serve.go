package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"graphrelay/internal/systemd"
	"graphrelay/relay"
)

func serveCommand(e env, args []string) int {
	fs := flags(e, "serve")
	path := fs.String("config", "", "configuration `file`")
	if status, ok := noOperands(e, fs, args); !ok {
		return status
	}
	cfg, status := loadConfig(e, *path)
	if cfg == nil {
		return status
	}
	s := listenForSignals()
	defer s.end()
	r, err := relay.Start(context.Background(), cfg, e.stderr)
	if err != nil {
		return fault(e, exitFault, err)
	}
	notifySystemd(r, systemd.Ready)
	return watch(e, r, *path, s)
}

// notifySystemd only logs an error: the relay works without, and systemd itself stops a
// service that does not notify it in time.
func notifySystemd(r *relay.Relay, state string) {
	if err := systemd.Notify(state); err != nil {
		r.Log().Warn("cannot notify systemd", "state", state, "error", err)
	}
}

// signals are those that the relay heeds. Each kind has a channel of its own, so that none is
// lost because of another.
type signals struct{ stop, reload chan os.Signal }

func listenForSignals() signals {
	s := signals{make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(s.stop, os.Interrupt, syscall.SIGTERM)
	signal.Notify(s.reload, syscall.SIGHUP)
	return s
}

func (s signals) end() {
	signal.Stop(s.stop)
	signal.Stop(s.reload)
}

// watch blocks until a signal stops the relay, or a part of it fails. SIGHUP reloads; a
// reload does not keep the relay from stopping.
func watch(e env, r *relay.Relay, path string, s signals) int {
	reloaded := make(chan struct{}, 1)
	reloads := s.reload // nil during a reload: the next one waits
	for {
		select {
		case <-reloads:
			reloads = nil
			notifySystemd(r, systemd.Reloading)
			go func() {
				r.ReloadFile(path)
				reloaded <- struct{}{}
			}()
		case <-reloaded:
			reloads = s.reload
			notifySystemd(r, systemd.Ready)
		case what := <-s.stop:
			notifySystemd(r, systemd.Stopping)
			r.Log().Info("stopping", "signal", what.String())
			if err := r.Stop(); err != nil {
				return fault(e, exitFault, err)
			}
			return exitOK
		case err := <-r.Failed():
			r.Log().Error("a part of the relay failed", "error", err)
			_ = r.Stop()
			return exitFault
		}
	}
}
