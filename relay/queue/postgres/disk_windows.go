package postgres

import (
	"errors"
	"syscall"
)

// diskFull knows ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL (winerror.h).
func diskFull(err error) bool {
	return errors.Is(err, syscall.Errno(39)) || errors.Is(err, syscall.Errno(112))
}
