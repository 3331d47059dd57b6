// Package race reports whether the program runs with the race detector.
package race
