//go:build unix

package pickup

import (
	"io/fs"
	"os"
	"syscall"
)

// own reports whether a file is this user's.
func own(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(st.Uid) == int64(os.Geteuid())
}

// checkLinks returns an error if a file has another name.
func checkLinks(_ *os.File, info fs.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Nlink > 1 {
		return badf("it has another name elsewhere (a hard link); put a copy of the message here")
	}
	return nil
}
