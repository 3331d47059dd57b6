//go:build unix

package config

import "golang.org/x/sys/unix"

// writable reports whether this user may make files in a folder.
func writable(folder string) bool { return unix.Access(folder, unix.W_OK|unix.X_OK) == nil }
