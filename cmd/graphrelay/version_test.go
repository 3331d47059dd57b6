package main

import (
	"runtime"
	"testing"
)

func TestVersionCommand(t *testing.T) {
	got := execute(t, "", "version")
	got.want(t, exitOK, "graphrelay ", "\ncommit ", runtime.Version())
	if flag := execute(t, "", "--version"); flag != got {
		t.Errorf("--version prints %+v, version %+v", flag, got)
	}
}
