package main

import (
	"fmt"

	"graphrelay/internal/buildinfo"
)

func versionCommand(e env, args []string) int {
	if status, ok := noOperands(e, flags(e, "version"), args); !ok {
		return status
	}
	b := buildinfo.Read()
	fmt.Fprintf(e.stdout, "graphrelay %s\ncommit %s\n%s\n", b.Version, b.Revision, b.GoVersion)
	return exitOK
}
