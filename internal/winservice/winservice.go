// Package winservice makes the program a service of Windows: it registers the service, answers
// the service control manager, and reports to the event log. On other systems its functions return
// ErrNotWindows.
package winservice

import "errors"

// Name is the name of the service and of its source in the event log. The service runs as the
// virtual account of that name, which Account names.
const (
	Name    = "graphrelay"
	Account = `NT SERVICE\` + Name
)

// The controls that the service understands beside those of Windows, for sc control.
const (
	ControlReload  = 128 // as does SERVICE_CONTROL_PARAMCHANGE
	ControlDrain   = 129
	ControlUndrain = 130
)

// ErrNotWindows is returned on other systems.
var ErrNotWindows = errors.New("there are no services of Windows on this system; with systemd, use deploy/graphrelay.service and systemctl")

// Program is what runs as the service.
type Program struct {
	// Serve runs the program until Stop was called, or it cannot go on. It calls started once it
	// serves. The service ends with the status that it returns; Windows starts it again if that is
	// not 0.
	Serve func(started func()) (status uint32)

	// These return at once, and may be called before Serve has called started.
	Stop   func()
	Reload func()
	Drain  func(on bool)
}

// State is what is known of the service.
type State struct {
	State   string `json:"state"`             // "running", "stopped", "starting", "stopping" or another of Windows
	PID     uint32 `json:"pid,omitempty"`     // while it runs
	Account string `json:"account,omitempty"` // that it runs as
	Command string `json:"command,omitempty"` // with which Windows starts it
	Status  uint32 `json:"status,omitempty"`  // with which it ended
}
