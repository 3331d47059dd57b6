package smtpd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/testlog"
	"graphrelay/relay/queue"
)

// failingListener has no descriptor for so many connections, and then is closed.
type failingListener struct {
	net.Listener
	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures < 0 {
		return nil, net.ErrClosed
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
}

// TestAcceptFailureIsLoggedOnceAMinute has accepts fail for 65 seconds.
func TestAcceptFailureIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testlog.Buffer
		s := New(testConfig(), &fakeQueue{}, fakePolicy{}, NewConnectionLimiter(ConnectionLimits{}), NewMetrics(prometheus.NewRegistry()),
			slog.New(slog.NewTextHandler(&log, nil)))
		newListener(&failingListener{failures: 1300}, s).run()
		if got := strings.Count(log.String(), "accept failed"); got != 2 {
			t.Errorf("%d lines were logged", got)
		}
		if !strings.Contains(log.String(), "times=1200\n") {
			t.Errorf("the log does not count 1,200 failures in a minute:\n%s", log.String()[:min(2000, len(log.String()))])
		}
	})
}

// TestRefusalSaysWhatFailed checks that a client is not told of a broken disk when something
// else is the matter.
func TestRefusalSaysWhatFailed(t *testing.T) {
	for err, want := range map[error]string{
		queue.ErrDisk:      "disk failed",
		queue.ErrNoSpace:   "disk is full",
		queue.ErrFull:      "queue is full",
		queue.ErrResources: "short of file descriptors",
		queue.ErrAway:      "cannot reach its queue",
		queue.ErrUnknown:   "cannot reach its queue",
		errors.New("odd"):  "A fault in the relay",
	} {
		if got := refusalOf(fmt.Errorf("wrapped: %w", err)); !strings.Contains(got.Text, want) || got.Code/100 != 4 {
			t.Errorf("%v: %d %q, want %q", err, got.Code, got.Text, want)
		}
	}
}
