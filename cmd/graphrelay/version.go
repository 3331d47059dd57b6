package main

import (
	"fmt"

	"graphrelay/relay"
)

func versionCommand(e env, args []string) int {
	if status, ok := noOperands(e, flags(e, "version"), args); !ok {
		return status
	}
	b := relay.BuildInfo()
	fmt.Fprintf(e.stdout, "graphrelay %s\ncommit %s\n%s\n", b.Version, b.Revision, b.GoVersion)
	return exitOK
}
