package main

import "golang.org/x/sys/windows"

// ofAdministrator reports whether this runs with the rights of an administrator of Windows.
func ofAdministrator() bool { return windows.GetCurrentProcessToken().IsElevated() }
