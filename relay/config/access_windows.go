package config

// writable returns true: only the attempt would tell what the access lists of Windows allow.
func writable(string) bool { return true }
