package sqlite

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

func openDir(string) (syncer, error) { return noDir{}, nil }

type noDir struct{}

func (noDir) Sync() error  { return nil }
func (noDir) Close() error { return nil }

// lockDirectory does nothing: Windows keeps an open lock file from being replaced.
func lockDirectory(string) (unlock func() error, ok bool, err error) {
	return func() error { return nil }, true, nil
}

func freeSpace(path string) (free, size int64, err error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, 0, err
	}
	var available, total uint64
	if err := windows.GetDiskFreeSpaceEx(name, &available, &total, nil); err != nil {
		return 0, 0, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: path, Err: err}
	}
	return int64(available), int64(total), nil
}

// diskFull knows ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL (winerror.h).
func diskFull(err error) bool {
	return errors.Is(err, syscall.Errno(39)) || errors.Is(err, syscall.Errno(112))
}
