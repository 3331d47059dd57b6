package testpostgres

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// account is the user that the servers run as: PostgreSQL refuses to run as root.
type account struct{ uid, gid int }

// unprivileged returns nil if the test is not root.
func unprivileged(t testing.TB) *account {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	must(t, err)
	uid, err := strconv.Atoi(u.Uid)
	must(t, err)
	gid, err := strconv.Atoi(u.Gid)
	must(t, err)
	return &account{uid, gid}
}

func (a *account) own(t testing.TB, path string) {
	t.Helper()
	if a != nil {
		must(t, os.Chown(path, a.uid, a.gid))
	}
}

// run has a program run as the account, and end with the test.
func (a *account) run(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return cmd
}
