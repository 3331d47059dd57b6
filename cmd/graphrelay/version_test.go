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

func TestLicencesCommand(t *testing.T) {
	execute(t, "", "version", "--licences").want(t, exitOK, "github.com/emersion/go-smtp ", "Permission is hereby granted")
}
