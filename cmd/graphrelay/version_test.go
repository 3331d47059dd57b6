package main

import (
	"runtime"
	"testing"
)

func TestVersionCommand(t *testing.T) {
	execute(t, "", "version").want(t, exitOK, "graphrelay ", "\ncommit ", runtime.Version())
}
