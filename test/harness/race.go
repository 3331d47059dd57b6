//go:build race

package harness

// raceEnabled tells that the tests run with the race detector, and so shall the
// programs that they start.
const raceEnabled = true
