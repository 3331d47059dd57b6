//go:build unix

package relay

import "syscall"

// mostFiles returns how many files the process may open, or 0 if that is unknown. The
// Go runtime has raised the limit as far as it may.
func mostFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
