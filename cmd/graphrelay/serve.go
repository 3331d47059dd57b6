package main

import (
	"context"
	"io"
	"log/slog"
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
keeps the rest in the queue. SIGHUP makes it read the configuration again. It logs to standard error.
The service of Windows (graphrelay service) runs this, too, and is asked for the same by controls.`,
		Example: `  graphrelay serve
  graphrelay serve --config relay.yaml`,
		Args: noOperands,
	}
	file := configFlag(c)
	asService := c.Flags().Bool("service", false, "run as the service of Windows; graphrelay service install sets this")
	c.RunE = func(*cobra.Command, []string) error {
		if *asService {
			return serveAsService(e, *file)
		}
		s := newSignals()
		return serve(e, *file, s, serving{begin: s.listen, log: e.stderr})
	}
	return c
}

// serving is what differs between a service of Windows and other processes.
type serving struct {
	begin   func() (end func()) // once the configuration is good; nil: nothing
	started func()              // once the relay takes mail; nil: nothing
	log     io.Writer           // gets the log, or what a log file does not take
	events  slog.Handler        // gets the log, too, unless it is nil
}

// serve runs the relay until s says stop.
func serve(e env, file string, s signals, how serving) error {
	cfg, path, err := loadConfig(e, file)
	if err != nil {
		return err
	}
	collectGarbage()
	if how.begin != nil {
		defer how.begin()()
	}
	var also []slog.Handler
	if how.events != nil {
		also = append(also, how.events)
	}
	r, err := relay.Start(context.Background(), cfg, how.log, also...)
	if err != nil {
		return err
	}
	notifySystemd(r, systemd.Ready)
	if how.started != nil {
		how.started()
	}
	a := reloads{make(chan chan error), make(chan struct{})}
	defer close(a.ended)
	r.FromFile(path, a.reload)
	defer listenForCommands(r, cfg.DataDir)()
	return watch(r, path, s, a.asked)
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
type signals struct {
	stop, reload chan os.Signal
	drain        chan bool // by a control of the service alone: there is no such signal
}

func newSignals() signals {
	return signals{make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan bool, 1)}
}

// listen passes the signals of this process on. On Windows, Ctrl-C and Ctrl-Break are os.Interrupt,
// and a terminal that is closed, and the end of the session, are SIGTERM.
func (s signals) listen() (end func()) {
	signal.Notify(s.stop, os.Interrupt, syscall.SIGTERM)
	signal.Notify(s.reload, syscall.SIGHUP)
	return func() {
		signal.Stop(s.stop)
		signal.Stop(s.reload)
	}
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
		case on := <-s.drain:
			go drain(r, on) // it asks the database
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

// drain has this relay take no more lanes, or ends that, as a control of the service asks.
func drain(r *relay.Relay, on bool) {
	if err := r.Drain(context.Background(), "a control of the service", on); err != nil {
		r.Log().Error("cannot drain this relay, or end that, as a control of the service asks", "error", err)
	}
}
