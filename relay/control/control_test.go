package control_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"graphrelay/relay/control"
)

// TestControl asks a relay by its socket, or on Windows by its pipe.
func TestControl(t *testing.T) {
	dir, err := os.MkdirTemp("", "control-") // t.TempDir fails in Wine, where os.RemoveAll does
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNotRunning) {
		t.Fatalf("no relay: %v", err)
	}
	long := strings.Repeat("answer ", 100_000)
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Err() != nil { // the end of the request before is taken for that of its client
			http.Error(w, "canceled", http.StatusInternalServerError)
			return
		}
		_, _ = io.Copy(w, r.Body)
		_, _ = io.WriteString(w, long)
	})
	for range 2 { // a relay that is restarted takes the place of the one before
		s, err := control.Listen(dir, echo, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var asked sync.WaitGroup
		for range 8 {
			asked.Go(func() {
				client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return control.Dial(ctx, dir) }}}
				defer client.CloseIdleConnections()
				for range 3 {
					reply, err := client.Post("http://relay/", "text/plain", strings.NewReader("question "))
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(reply.Body)
					if _ = reply.Body.Close(); err != nil || string(body) != "question "+long {
						t.Errorf("%d bytes, %v", len(body), err)
					}
				}
			})
		}
		asked.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNotRunning) {
			t.Errorf("after the end: %v", err)
		}
	}
}
