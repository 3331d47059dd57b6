package main

import (
	"os"

	"graphrelay/internal/winservice"
)

// serviceControl is what the service control manager of Windows asks for, in the place of a signal.
type serviceControl string

func (serviceControl) Signal()          {}
func (c serviceControl) String() string { return string(c) }

// serveAsService is serve for a process that Windows has started as a service. There is no standard
// error: what goes wrong is in the event log.
func serveAsService(e env, file string) error {
	events, err := winservice.OpenEvents()
	if err != nil {
		return err
	}
	e.stderr = events.Lines()
	s := newSignals()
	return winservice.Run(winservice.Program{
		Serve: func(started func()) uint32 {
			err := serve(e, file, s, serving{started: started, log: events.Fallback(), events: events.Handler()})
			return uint32(statusOf(e, err))
		},
		Stop:   func() { ask(s.stop, os.Signal(serviceControl("stop of the service"))) },
		Reload: func() { ask(s.reload, os.Signal(serviceControl("reload of the service"))) },
		Drain:  func(on bool) { ask(s.drain, on) },
	})
}

// ask passes on a control. One that waits already is enough.
func ask[T any](to chan T, what T) {
	select {
	case to <- what:
	default:
	}
}
