package testpostgres

import (
	"bytes"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// process is a program that runs beside the test, and dies with it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	mu   sync.Mutex
}

// startProcess starts a program. Its output goes into log, which may be read once it has ended.
func startProcess(t testing.TB, cmd *exec.Cmd, log *bytes.Buffer) *process {
	t.Helper()
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the program dies with the thread that has started it
		started <- cmd.Start()
		if cmd.Process != nil {
			_ = cmd.Wait() // how it ended does not matter
		}
		close(p.done)
	}()
	must(t, <-started)
	return p
}

func (p *process) end(signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.cmd.Process.Signal(signal)
	<-p.done
	return err
}
