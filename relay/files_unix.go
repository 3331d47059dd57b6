//go:build unix

package relay

import "syscall"

// mostFiles is how many files the process may have open; the Go runtime has raised the
// limit as far as it may. 0 is not known.
func mostFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
