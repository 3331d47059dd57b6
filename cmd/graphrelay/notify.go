package main

import (
	"net"
	"os"
)

// What systemd is told of the service's state (sd_notify(3)).
const (
	notifyReady     = "READY=1"
	notifyReloading = "RELOADING=1"
	notifyStopping  = "STOPPING=1"
)

// notify tells systemd, if it has started us and wants to know. It does so for a
// service of Type=notify: what is ordered after it then finds its ports open, and
// systemctl reload returns when the reload is over.
func notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	c, err := net.Dial("unixgram", address) // an @ in front is an abstract socket, here as there
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}
