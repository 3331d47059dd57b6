//go:build race

package harness

// raceEnabled reports whether the tests run with the race detector. The programs that
// they start then have it too.
const raceEnabled = true
