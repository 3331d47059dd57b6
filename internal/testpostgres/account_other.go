//go:build !linux

package testpostgres

import (
	"os/exec"
	"testing"
)

type account struct{}

func unprivileged(testing.TB) *account { return nil }

func (*account) own(testing.TB, string) {}

func (*account) run(cmd *exec.Cmd) *exec.Cmd { return cmd }
