//go:build !windows

package sqlite

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func openDir(path string) (syncer, error) { return os.Open(path) }

// lockDirectory locks the directory itself, which cannot be replaced like the file in it. It
// reports whether it could.
func lockDirectory(path string) (unlock func() error, ok bool, err error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return d.Close, true, nil
	}
	_ = d.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = nil
	}
	return nil, false, err
}

func freeSpace(path string) (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	free, size = int64(st.Bavail)*int64(st.Bsize), int64(st.Blocks)*int64(st.Bsize)
	if st.Files > 0 && st.Ffree == 0 { // of a file system that counts inodes
		free = 0
	}
	return free, size, nil
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
