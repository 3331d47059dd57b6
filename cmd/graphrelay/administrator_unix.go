//go:build unix

package main

// ofAdministrator reports whether this runs with the rights of an administrator of Windows.
func ofAdministrator() bool { return false }
