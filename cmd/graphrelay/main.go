//go:build !manpages

// Command graphrelay is an SMTP server that delivers through Microsoft Graph.
package main

import "os"

func main() {
	os.Exit(run(env{os.Stdin, os.Stdout, os.Stderr}, commandLine(os.Args)))
}
