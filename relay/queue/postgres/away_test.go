package postgres

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
)

// TestAway has the database refuse all connections, and then take them again.
func TestAway(t *testing.T) {
	p, url := newProxy(t, testpostgres.Database(t))
	q := open(t, Options{URL: url, Node: "n"})
	id := q.mustPut(t, "x")
	p.set(func() { p.refuse = true })
	p.breakAll()
	until(t, "the fault", func() bool { // the first calls find out
		_, err := q.put(t, "x")
		return errors.Is(err, queue.ErrAway)
	})
	if _, err := q.Create(t.Context()); !errors.Is(err, queue.ErrAway) {
		t.Errorf("a new message: %v", err)
	}
	if _, _, err := q.Claim(t.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 1}); !errors.Is(err, queue.ErrAway) {
		t.Errorf("a claim: %v", err)
	}
	if _, _, err := q.Get(t.Context(), id); !errors.Is(err, queue.ErrAway) {
		t.Errorf("a look at a message: %v", err)
	}
	if err := q.Healthy(); !errors.Is(err, queue.ErrAway) || strings.Contains(err.Error(), "\n") {
		t.Errorf("healthy: %q", err)
	}
	p.set(func() { p.refuse = false })
	until(t, "the database", func() bool { return q.Healthy() == nil })
	if got := q.claimed(t, "n"); len(got) != 1 || got[0] != id {
		t.Errorf("claimed %v, want %s", got, id)
	}
}

// TestSilence has a network in between that drops everything: nobody says that the database
// cannot be reached.
func TestSilence(t *testing.T) {
	p, url := newProxy(t, testpostgres.Database(t))
	q := open(t, Options{URL: url, Node: "n", Timeout: 3 * time.Second})
	q.mustPut(t, "x")
	p.set(func() { p.hold = true })
	start := time.Now()
	_, err := q.put(t, "y")
	if !errors.Is(err, queue.ErrAway) && !errors.Is(err, queue.ErrUnknown) {
		t.Fatalf("the client was told %v", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	if _, err := q.put(t, "y"); !errors.Is(err, queue.ErrAway) {
		t.Errorf("the next one was told %v", err)
	}
	p.set(func() { p.hold = false })
	until(t, "the database", func() bool { return q.Healthy() == nil })
	until(t, "a message", func() bool {
		_, err := q.put(t, "z")
		return err == nil
	})
}

// TestRestart restarts the server, and kills it, beside a queue in use.
func TestRestart(t *testing.T) {
	server := testpostgres.New(t)
	q := open(t, Options{URL: server.Database(t), Node: "n"})
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		want := len(q.all(t))
		done, stop := make(chan int), make(chan struct{})
		go func() {
			accepted := 0
			for {
				select {
				case <-stop:
					done <- accepted
					return
				default:
				}
				if _, err := q.put(t, "x"); err == nil {
					accepted++
				} else {
					time.Sleep(time.Millisecond)
				}
			}
		}()
		until(t, "messages", func() bool {
			list, err := q.List(t.Context(), queue.Filter{})
			return err == nil && len(list) > want+20
		})
		server.Stop(t, signal)
		until(t, "the fault", func() bool { return q.Healthy() != nil })
		server.Start(t)
		until(t, "the database", func() bool { return q.Healthy() == nil })
		if _, err := q.put(t, "x"); err != nil {
			t.Error(err)
		}
		close(stop)
		want += <-done + 1
		if got := len(q.all(t)); got != want {
			t.Errorf("signal %s: %d messages, want the %d that were accepted", signal, got, want)
		}
	}
}

// TestOpenTakesItsTime opens a queue with less time for a transaction than any takes.
func TestOpenTakesItsTime(t *testing.T) {
	q, err := Open(t.Context(), Options{URL: testpostgres.Database(t), Dir: t.TempDir(), Node: "n", Timeout: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}
