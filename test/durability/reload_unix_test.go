//go:build unix

package durability

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// TestStopDuringReload stops a relay whatever a reload is doing: when more reloads are asked
// for than it has begun, when one waits for messages of the generation before, and when one
// hangs in a file that never ends.
func TestStopDuringReload(t *testing.T) {
	t.Parallel()
	for name, reload := range map[string]func(t *testing.T, r *harness.Relay){
		"several reloads": func(t *testing.T, r *harness.Relay) {
			for range 3 {
				r.Signal(syscall.SIGHUP)
				time.Sleep(100 * time.Millisecond) // the kernel merges signals that are pending
			}
		},
		"a pipe as a secret": func(t *testing.T, r *harness.Relay) {
			pipe := filepath.Join(r.Dir, "secret")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			r.Write(t, harness.ReadFile(t, r.Config), harness.Replace("client_secret: simulated ", "client_secret_file: secret "))
			r.Signal(syscall.SIGHUP)
			harness.WaitFor(t, "the reload to open the file", func() bool {
				f, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0) // ENXIO until somebody reads
				if err == nil {
					t.Cleanup(func() { _ = f.Close() })
				}
				return err == nil
			})
			r.Signal(syscall.SIGHUP)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := harness.StartSim(t)
			r := harness.StartRelay(t, sim)
			sim.Fault(t, simulator.Fault{Operation: simulator.OpSend, Latency: 3 * time.Second})
			if answer := r.SendOne(t, harness.TenKilobytes("reload")(1)); answer[:3] != "250" {
				t.Fatal(answer)
			}
			reload(t, r)
			r.Stop(t)
			sim.ClearFaults(t)
		})
	}
}
