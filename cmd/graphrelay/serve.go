package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"graphrelay/internal/systemd"
	"graphrelay/relay"
)

func serveCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "run the relay",
		Long: `Runs the relay until SIGTERM or SIGINT (Ctrl-C). It then finishes what is in delivery, and
keeps the rest in the queue. SIGHUP makes it read the configuration again. It logs to standard error.`,
		Example: `  graphrelay serve
  graphrelay serve --config relay.yaml`,
		Args: noOperands,
	}
	file := configFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		cfg, path, err := loadConfig(e, *file)
		if err != nil {
			return err
		}
		collectGarbage()
		s := listenForSignals()
		defer s.end()
		r, err := relay.Start(context.Background(), cfg, e.stderr)
		if err != nil {
			return err
		}
		notifySystemd(r, systemd.Ready)
		a := reloads{make(chan chan error), make(chan struct{})}
		defer close(a.ended)
		r.FromFile(path, a.reload)
		defer listenForCommands(r, cfg.DataDir)()
		return watch(r, path, s, a.asked)
	}
	return c
}

// collectGarbage has Go free memory once half as much was allocated as is in use, unless GOGC
// says otherwise. By default it waits for as much: a relay at rest, or with one large message,
// would hold 2 MiB more, and a busy one an eighth more.
func collectGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
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

// watch blocks until a signal stops the relay, or a part of it fails. SIGHUP reloads, and so does
// a channel in asked, which gets the result; a reload does not keep the relay from stopping.
func watch(r *relay.Relay, path string, s signals, asked <-chan chan error) error {
	reloaded := make(chan struct{}, 1)
	hangups, commands := s.reload, asked // nil during a reload: the next one waits
	reload := func(result chan<- error) {
		hangups, commands = nil, nil
		notifySystemd(r, systemd.Reloading)
		go func() {
			result <- r.ReloadFile(path)
			reloaded <- struct{}{}
		}()
	}
	for {
		select {
		case <-hangups:
			reload(make(chan error, 1)) // the log has the result
		case result := <-commands:
			reload(result)
		case <-reloaded:
			hangups, commands = s.reload, asked
			notifySystemd(r, systemd.Ready)
		case what := <-s.stop:
			notifySystemd(r, systemd.Stopping)
			r.Log().Info("stopping", "signal", what.String())
			return r.Stop()
		case err := <-r.Failed():
			r.Log().Error("a part of the relay failed", "error", err)
			_ = r.Stop()
			return exitError{status: exitFault}
		}
	}
}
