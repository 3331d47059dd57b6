package costs

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

// costs are what one message, or one call, takes. Each counter is exact for the work that is
// measured, but the process does other work beside it.
type costs map[string]float64

// The counters. Writes to files and sockets are counted by Linux alone. What is read would depend
// on the time: the queue is counted once a second.
const (
	allocations  = "allocations"
	allocated    = "bytes allocated"
	bytesWritten = "bytes written"
	writes       = "calls of write"
	requests     = "requests to Graph"
)

const measurements = 3

// measure returns the costs of each of n rounds of do. Of several measurements the least of
// each counter counts: what else the process does only adds to it. Without a collection of
// garbage, no pool loses its contents between two rounds, and one processor has one pool.
func measure(tb testing.TB, n int, do func(rounds int)) costs {
	tb.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	least := costs{}
	for range measurements {
		runtime.GC()
		do(n/10 + 1) // fills the pools
		before := counters(tb)
		do(n)
		for name, after := range counters(tb) {
			c := float64(after-before[name]) / float64(n)
			if old, ok := least[name]; !ok || c < old {
				least[name] = c
			}
		}
	}
	return least
}

// counters returns what the process has used so far.
func counters(tb testing.TB) map[string]int64 {
	tb.Helper()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	all := map[string]int64{allocations: int64(m.Mallocs), allocated: int64(m.TotalAlloc)}
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return all // not Linux
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil {
			tb.Fatalf("/proc/self/io: %v", err)
		}
		switch name {
		case "wchar":
			all[bytesWritten] = n
		case "syscw":
			all[writes] = n
		}
	}
	return all
}
