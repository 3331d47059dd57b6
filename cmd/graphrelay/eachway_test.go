package main

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"

	"graphrelay/relay/api"
	"graphrelay/relay/control"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue/sqlite"
)

// filler returns a configuration whose queue holds messages, as fillQueue does.
type filler func(t *testing.T, subjects ...string) (config, first string)

// eachWay runs a test of commands with a relay that is stopped, and with one that runs: both times
// they print the same.
func eachWay(t *testing.T, test func(t *testing.T, fillQueue filler)) {
	t.Run("stopped", func(t *testing.T) { test(t, fillQueue) })
	t.Run("running", func(t *testing.T) { test(t, fillAndServe) })
}

// fillAndServe is fillQueue for a relay that runs, as far as commands can see.
func fillAndServe(t *testing.T, subjects ...string) (config, first string) {
	t.Helper()
	config, first = fillQueue(t, subjects...)
	dir := filepath.Join(filepath.Dir(config), "data")
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := api.New(api.Config{Operations: operations.Local{Store: store, Connections: func() []string { return []string{"contoso"} }}})
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	s, err := control.Listen(dir, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		api.OnSocket(h).ServeHTTP(w, r)
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		answered := answers(socketClient(dir))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if requests.Load() < 2 || !answered {
			t.Error("the relay was not asked")
		}
		_ = store.Close()
	})
	return config, first
}
