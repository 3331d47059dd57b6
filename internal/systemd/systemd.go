// Package systemd informs systemd of the state of a service of Type=notify, as
// sd_notify(3) does: what is ordered after the service then finds its ports open, and
// systemctl reload returns when the reload is complete.
package systemd

import (
	"net"
	"os"
)

// States of a service.
const (
	Ready     = "READY=1"
	Reloading = "RELOADING=1"
	Stopping  = "STOPPING=1"
)

// Notify sends a state to systemd. It does nothing if systemd did not start the program,
// or did not ask for notifications.
func Notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	c, err := net.Dial("unixgram", address) // a leading @ is an abstract socket, for Go as for systemd
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}
