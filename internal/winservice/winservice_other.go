//go:build !windows

package winservice

// Run runs the program as the service.
func Run(Program) error { return ErrNotWindows }

// Install registers the service, or brings it up to date.
func Install(_ string, _ ...string) (warnings []string, err error) { return nil, ErrNotWindows }

// Uninstall stops the service and removes it.
func Uninstall() error { return ErrNotWindows }

// Start starts the service and waits until it serves.
func Start() error { return ErrNotWindows }

// Stop stops the service and waits for its end.
func Stop() error { return ErrNotWindows }

// Status returns the state of the service.
func Status() (State, error) { return State{}, ErrNotWindows }

// Claim gives the service a folder, and closes it to other users.
func Claim(string) error { return ErrNotWindows }

// OpenEvents returns the log of events of the service.
func OpenEvents() (*Events, error) { return nil, ErrNotWindows }
