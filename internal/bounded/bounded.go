// Package bounded has a map of bounded size, for what is remembered of strangers: they
// can make up any number of names, and must not fill the memory.
package bounded

import (
	"iter"
	"maps"
	"math"
	"time"
)

// Rank orders entries by how much they are worth. Of two entries the one with the lower
// Class is evicted first; within a class, the one whose Used is earlier.
type Rank struct {
	Class int
	Used  time.Time
}

const (
	Expired = -1          // the class of entries that are worth nothing
	Pinned  = math.MaxInt // the class of entries that are never evicted
)

// Map holds at most so many entries. Where a new one exceeds the maximum, it evicts the
// expired ones, and if there are none, the lowest in rank of a few randomly chosen ones;
// so that an entry is in danger only if others of its rank are a large part of the map. It
// takes constant time, amortized, and is not safe for concurrent use.
type Map[K comparable, V any] struct {
	size    int
	rank    func(V) Rank
	entries map[K]V
	swept   time.Time
}

const (
	sample     = 8           // unpinned entries of which one is evicted
	maxLook    = 64          // entries that are looked at for them
	sweepEvery = time.Second // how often all entries of a full map are looked at
)

// New returns a map of at most size entries. rank is called with values of the map
// whenever there are too many, and must not change the map; if it is nil, all rank equal.
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

// Put sets the value of k, and makes room for it if k is new. It always succeeds: where
// too many entries are pinned, the map grows beyond its maximum.
func (m *Map[K, V]) Put(k K, v V) {
	if _, ok := m.entries[k]; !ok {
		m.makeRoom()
	}
	m.entries[k] = v
}

// GetOrPut returns the value of k. If there is none, it puts the one that create returns.
func (m *Map[K, V]) GetOrPut(k K, create func() V) V {
	v, ok := m.entries[k]
	if !ok {
		m.makeRoom()
		v = create()
		m.entries[k] = v
	}
	return v
}

// Full reports whether a new entry would exceed the maximum, or have another evicted that
// has not expired. What expired within the last second may still count.
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
	// Two, so that a map that has outgrown its maximum comes back to it.
	for range 2 {
		if len(m.entries) >= m.size {
			m.evict()
		}
	}
}

// sweep removes the expired entries of a full map, once a second at most.
func (m *Map[K, V]) sweep() {
	if len(m.entries) < m.size || time.Since(m.swept) < sweepEvery {
		return
	}
	m.swept = time.Now()
	maps.DeleteFunc(m.entries, func(_ K, v V) bool { return m.rank(v).Class == Expired })
}

// evict removes the lowest in rank of a few entries: the iteration begins anywhere, and
// goes on in the order of hashes.
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
