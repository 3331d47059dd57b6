package relay

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
)

// TestListenFamily checks that an IPv4 address is listened to for IPv4 alone.
func TestListenFamily(t *testing.T) {
	s, err := listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.l.Close()
	port := s.l.Addr().(*net.TCPAddr).Port
	c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if c, err := net.Dial("tcp6", fmt.Sprintf("[::1]:%d", port)); err == nil {
		_ = c.Close()
		t.Error("it accepts IPv6")
	}
}

func TestListenRemedy(t *testing.T) {
	for err, want := range map[error]string{
		fmt.Errorf("listen: %w", fs.ErrPermission):      "setcap",
		fmt.Errorf("listen: %w", syscall.EADDRNOTAVAIL): "does not have that address",
		fmt.Errorf("listen: %w", errors.New("in use")):  "stop what uses it",
	} {
		if got := listenRemedy(err); !strings.Contains(got, want) {
			t.Errorf("%v: %q", err, got)
		}
	}
}

// TestSocketIsNewOnce checks that a socket is news at one start, and not at each reload.
func TestSocketIsNewOnce(t *testing.T) {
	s := &socket{new: true}
	if a, b := s.level(), s.level(); a != slog.LevelInfo || b != slog.LevelDebug {
		t.Errorf("levels %v and %v", a, b)
	}
}
