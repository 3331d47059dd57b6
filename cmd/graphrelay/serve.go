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
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	r, err := relay.Start(context.Background(), cfg, e.stderr)
	if err != nil {
		return fault(e, exitFault, err)
	}
	notifySystemd(r, systemd.Ready)
	return watch(e, r, *path, signals)
}

// notifySystemd only logs an error: the relay works without, and systemd itself stops a
// service that does not notify it in time.
func notifySystemd(r *relay.Relay, state string) {
	if err := systemd.Notify(state); err != nil {
		r.Log().Warn("cannot notify systemd", "state", state, "error", err)
	}
}

// watch blocks until a signal stops the relay, or a part of it fails. SIGHUP reloads.
func watch(e env, r *relay.Relay, path string, signals <-chan os.Signal) int {
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGHUP {
				notifySystemd(r, systemd.Reloading)
				r.ReloadFile(path)
				notifySystemd(r, systemd.Ready)
				continue
			}
			notifySystemd(r, systemd.Stopping)
			r.Log().Info("stopping", "signal", s.String())
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
