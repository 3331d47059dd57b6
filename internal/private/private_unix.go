//go:build unix

package private

import (
	"os"
)

// Others are the users of whom OthersMayRead tells.
const Others = "every user of this machine"

// The commands that keep others from reading a file, and from looking into a folder.
const (
	FileRemedy   = "chmod o-r"
	FolderRemedy = "chmod 700"
)

// What a user does who may not use a file, and how another lets them read it.
const (
	AsOwner = "run this as the user that owns it, or change that with chown"
	ReadFor = "chgrp %[1]s and chmod g+r (folders: g+x)"
)

// Create creates a file that does not exist yet, for writing.
func Create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// MkdirAll makes a folder and those above it, as far as they do not exist.
func MkdirAll(path string) error { return os.MkdirAll(path, 0o700) }

// OthersMayRead reports whether every user of the machine may read a file.
func OthersMayRead(path string) bool { return has(path, 0o004) }

// OthersMayEnter reports whether any other user may use a folder.
func OthersMayEnter(path string) bool { return has(path, 0o077) }

func has(path string, mode os.FileMode) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&mode != 0
}
