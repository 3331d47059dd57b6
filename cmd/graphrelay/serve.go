package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"graphrelay/relay"
	"graphrelay/relay/config"
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
	tellSystemd(r, notifyReady)
	return watch(e, r, *path, signals)
}

// tellSystemd goes on without it: the relay works, and systemd ends what does not
// tell it in time.
func tellSystemd(r *relay.Relay, state string) {
	if err := notify(state); err != nil {
		r.Log().Warn("cannot tell systemd", "state", state, "error", err)
	}
}

// loadConfig prints every fault on a line of its own.
func loadConfig(e env, path string) (*config.Config, int) {
	if path == "" {
		fmt.Fprintln(e.stderr, "graphrelay: no configuration; give one with --config FILE (config.example.yaml explains every key)")
		return nil, exitBadUsage
	}
	cfg, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(e.stderr, strings.TrimRight(err.Error(), "\n"))
		return nil, exitBadUsage
	}
	return cfg, exitOK
}

// watch runs until a signal says stop, or a part of the relay fails.
func watch(e env, r *relay.Relay, path string, signals <-chan os.Signal) int {
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGHUP {
				tellSystemd(r, notifyReloading)
				reload(r, path)
				tellSystemd(r, notifyReady)
				continue
			}
			tellSystemd(r, notifyStopping)
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

func reload(r *relay.Relay, path string) {
	cfg, err := config.Load(path)
	if err != nil {
		r.ReloadFailed()
	} else {
		err = r.Reload(cfg)
	}
	if err != nil {
		r.Log().Error("the configuration was not reloaded; the one before stays in use", "error", err)
		return
	}
	r.Log().Info("configuration reloaded")
}
