//go:build unix

package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
)

const (
	socketName = "socket"

	// maxPath is the longest path of a socket on all systems (sun_path).
	maxPath = 100

	asOwner = "run this as the user of the relay, or as root"
)

// listen makes the socket in a folder of its own.
func listen(dir string) (l net.Listener, remove func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil { // keeps others out until the socket itself does
		return nil, nil, err
	}
	socket := filepath.Join(dir, socketName)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	err = withShortPath(dir, func(path string) (err error) {
		l, err = net.Listen("unix", path)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its path may be that of a descriptor
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, func() error { return os.Remove(socket) }, nil
}

func dial(ctx context.Context, dir string) (conn net.Conn, err error) {
	err = withShortPath(dir, func(path string) (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}

// withShortPath calls do with a path of the socket that a socket can have. On Linux that of a
// long data_dir goes by way of a descriptor.
func withShortPath(dir string, do func(path string) error) error {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxPath || runtime.GOOS != "linux" {
		return do(path)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return cmp.Or(do(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName)), d.Close())
}
