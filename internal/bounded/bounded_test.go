package bounded

import (
	"testing"
	"testing/synctest"
	"time"
)

type item struct{ rank Rank }

func newMap(size int) *Map[int, *item] {
	return New[int](size, func(i *item) Rank { return i.rank })
}

func class(c int) *item { return &item{Rank{Class: c}} }

// Flooding evicts the flood, not what is worth more.
func TestFlood(t *testing.T) {
	m := newMap(100)
	m.Put(-1, class(1))
	for n := range 10_000 {
		if m.Put(n, class(0)); m.Len() > 100 {
			t.Fatalf("%d entries", m.Len())
		}
	}
	if _, ok := m.Get(-1); !ok {
		t.Error("an entry of a higher class was evicted")
	}
	if _, ok := m.Get(9999); !ok {
		t.Error("the newest entry is missing")
	}
}

// What was used lately stays, mostly.
func TestLeastRecentlyUsed(t *testing.T) {
	m := newMap(1000)
	for n := range 3000 {
		m.Put(n, &item{Rank{Used: time.Unix(int64(n), 0)}})
	}
	late := 0
	for n := range m.All() {
		if n >= 2000 {
			late++
		}
	}
	if late < 700 {
		t.Errorf("%d of the newest 1000 are left", late)
	}
}

// Expired entries all go before any other.
func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap(100)
		for n := range 100 {
			m.Put(n, class(0))
		}
		if !m.Full() {
			t.Error("it is not full")
		}
		time.Sleep(time.Minute)
		for n := range 50 {
			m.GetOrPut(n, nil).rank.Class = Expired
		}
		if m.Full() || m.Len() != 50 {
			t.Errorf("%d entries", m.Len())
		}
		if _, ok := m.Get(99); !ok {
			t.Error("an entry was evicted that had not expired")
		}
	})
}

// Pinned entries stay, and the map comes back to its size after them.
func TestPinned(t *testing.T) {
	m := newMap(100)
	for n := range 150 {
		m.Put(n, class(Pinned))
	}
	if m.Len() != 150 || !m.Full() {
		t.Fatalf("%d entries", m.Len())
	}
	for _, i := range m.All() {
		i.rank.Class = 0
	}
	for n := range 200 {
		m.GetOrPut(1000+n, func() *item { return class(0) })
	}
	if m.Len() != 100 {
		t.Errorf("%d entries", m.Len())
	}
	m.DeleteFunc(func(n int, _ *item) bool { return n != 1199 })
	if m.Delete(1199); m.Len() != 0 {
		t.Error("entries are left")
	}
}

func BenchmarkFull(b *testing.B) {
	m := newMap(10_000)
	now := time.Now()
	for n := range b.N {
		m.Put(n, &item{Rank{Used: now.Add(time.Duration(n))}})
	}
}
