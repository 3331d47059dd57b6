// Package bounded provides a map of bounded size. It is for what is remembered about clients
// and senders: they can invent any number of names, and must not fill the memory.
package bounded

import (
	"iter"
	"maps"
	"math"
	"time"
)

// Rank decides which of several entries is evicted: one with a lower Class before one with a
// higher, and within a class, the one whose Used is earlier.
type Rank struct {
	Class int
	Used  time.Time
}

const (
	Expired = -1          // the class of entries that are no longer needed
	Pinned  = math.MaxInt // the class of entries that are never evicted
)

// Map is a map with a maximum number of entries. When a new entry exceeds it, the map removes
// the expired entries or, if there are none, the one with the lowest rank of a few randomly
// chosen entries. Thus an entry of a high rank is evicted only if most entries have a high
// rank. All operations on one entry take constant time, amortized. A Map is not safe for
// concurrent use.
type Map[K comparable, V any] struct {
	size    int
	rank    func(V) Rank
	entries map[K]V
	swept   time.Time
}

const (
	sample     = 8           // number of unpinned entries of which one is evicted
	maxLook    = 64          // maximum number of entries that are examined to find them
	sweepEvery = time.Second // shortest time between sweeps of a full map
)

// New returns a map of at most size entries. rank is called with values of the map when it is
// full, and must not change the map. If it is nil, all entries have the same rank.
func New[K comparable, V any](size int, rank func(V) Rank) *Map[K, V] {
	if rank == nil {
		rank = func(V) Rank { return Rank{} }
	}
	return &Map[K, V]{size: size, rank: rank, entries: map[K]V{}}
}

// Get returns the value of k.
func (m *Map[K, V]) Get(k K) (v V, ok bool) {
	v, ok = m.entries[k]
	return v, ok
}

// Put sets the value of k. If k is new and the map is full, an entry is evicted. If too many
// entries are pinned, the map grows beyond its maximum instead.
func (m *Map[K, V]) Put(k K, v V) {
	if _, ok := m.entries[k]; !ok {
		m.makeRoom()
	}
	m.entries[k] = v
}

// GetOrPut returns the value of k. If there is none, it puts the value that create returns.
func (m *Map[K, V]) GetOrPut(k K, create func() V) V {
	v, ok := m.entries[k]
	if !ok {
		m.makeRoom()
		v = create()
		m.entries[k] = v
	}
	return v
}

// Full reports whether a new entry would exceed the maximum or evict one that has not
// expired. Entries that expired within the last second may still count.
func (m *Map[K, V]) Full() bool {
	m.sweep()
	return len(m.entries) >= m.size
}

// Delete removes k.
func (m *Map[K, V]) Delete(k K) { delete(m.entries, k) }

// DeleteFunc removes the entries for which del returns true.
func (m *Map[K, V]) DeleteFunc(del func(K, V) bool) { maps.DeleteFunc(m.entries, del) }

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return len(m.entries) }

// All returns an iterator over the entries.
func (m *Map[K, V]) All() iter.Seq2[K, V] { return maps.All(m.entries) }

func (m *Map[K, V]) makeRoom() {
	m.sweep()
	// Evict up to two, so that a map that has grown beyond its maximum shrinks again.
	for range 2 {
		if len(m.entries) >= m.size {
			m.evict()
		}
	}
}

// sweep removes the expired entries of a full map, at most once a second.
func (m *Map[K, V]) sweep() {
	if len(m.entries) < m.size || time.Since(m.swept) < sweepEvery {
		return
	}
	m.swept = time.Now()
	maps.DeleteFunc(m.entries, func(_ K, v V) bool { return m.rank(v).Class == Expired })
}

// evict removes the entry with the lowest rank of a few. They are random, since the iteration
// over a map starts at random and follows the hashes.
func (m *Map[K, V]) evict() {
	var lowest K
	var rank Rank
	found, looked := 0, 0
	for k, v := range m.entries {
		if r := m.rank(v); r.Class != Pinned {
			if found == 0 || r.below(rank) {
				lowest, rank = k, r
			}
			found++
		}
		if looked++; found == sample || looked == maxLook {
			break
		}
	}
	if found > 0 {
		delete(m.entries, lowest)
	}
}

func (r Rank) below(other Rank) bool {
	if r.Class != other.Class {
		return r.Class < other.Class
	}
	return r.Used.Before(other.Used)
}
