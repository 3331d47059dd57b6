package durability

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// commandOutput runs a program that may fail.
func commandOutput(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// TestFullDisk fills the disk under the queue: mail is put off while it lasts,
// and taken again afterwards.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := relayOnSmallDisk(t, sim)
	data := filepath.Join(relay.Dir, "data")

	big := harness.TenKilobytes("full disk")(1)
	big.Text = harness.WrappedText(harness.Noise("big", 3_000_000))
	putOff(t, relay, big)
	relay.CheckEmpty(t)

	filler := filepath.Join(data, "filler")
	fill(t, filler)
	small := harness.TenKilobytes("full disk")(2)
	putOff(t, relay, small)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	relay.CheckEmpty(t)

	small.Subject = "after the full disk"
	harness.WaitFor(t, "mail to be taken again", func() bool { // the free space is asked for once a second
		return strings.HasPrefix(relay.SendOne(t, small), "250 2.0.0 queued as ")
	})
	sim.Sent(t, small.From, small.Subject)
	relay.Settled(t)
	if n := len(sim.Ledger(t)); n != 1 {
		t.Errorf("%d messages were sent, want 1", n)
	}
}

// TestStartOnFullDisk starts the relay on a disk that others have filled since it was killed:
// it delivers what it has, which frees space.
func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := relayOnSmallDisk(t, sim)
	relay.PauseAll(t)
	var waiting []harness.Sample
	for i := range 20 {
		s := harness.TenKilobytes("before the full disk")(i)
		waiting = append(waiting, s)
		if answer := relay.SendOne(t, s); !strings.HasPrefix(answer, "250 ") {
			t.Fatal(answer)
		}
	}
	relay.Kill(t)
	filler := filepath.Join(relay.Dir, "data", "filler")
	fill(t, filler)
	relay.Begin(t)
	harness.WaitFor(t, "a start", func() bool {
		if !relay.Running() {
			t.Fatalf("serve ended with status %d", relay.Status())
		}
		status, _ := relay.Get("/readyz")
		return status != 0
	})
	relay.ResumeAll(t)
	for _, s := range waiting {
		sim.Sent(t, s.From, s.Subject)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	later := harness.TenKilobytes("after the full disk")(101)
	harness.WaitFor(t, "mail to be taken again", func() bool {
		return strings.HasPrefix(relay.SendOne(t, later), "250 2.0.0 queued as ")
	})
	sim.Sent(t, later.From, later.Subject)
	relay.Settled(t)
	if n := len(sim.Ledger(t)); n != len(waiting)+1 {
		t.Errorf("%d messages were sent, want %d", n, len(waiting)+1)
	}
}

// TestNoInodes uses up the inodes of the disk: /readyz says so, and mail is put off whatever
// its size.
func TestNoInodes(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := relayOnSmallDisk(t, sim)
	var files []string
	for i := 0; ; i++ {
		path := filepath.Join(relay.Dir, "data", fmt.Sprint("file", i))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			break
		}
		files = append(files, path)
	}
	harness.WaitFor(t, "/readyz to say so", func() bool {
		status, _ := relay.Get("/readyz")
		return status == http.StatusServiceUnavailable
	})
	if n := relay.Metric(t, "graphrelay_ready"); n != 0 {
		t.Errorf("graphrelay_ready is %v", n)
	}
	putOff(t, relay, harness.TenKilobytes("no inodes")(1))
	for _, path := range files {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	s := harness.TenKilobytes("inodes again")(2)
	harness.WaitFor(t, "mail to be taken again", func() bool {
		return strings.HasPrefix(relay.SendOne(t, s), "250 2.0.0 queued as ")
	})
	sim.Sent(t, s.From, s.Subject)
}

func relayOnSmallDisk(t *testing.T, sim *harness.Sim) *harness.Relay {
	t.Helper()
	relay := harness.NewRelay(t, sim)
	data := filepath.Join(relay.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	mountSmallDisk(t, data)
	relay.Start(t)
	return relay
}

// mountSmallDisk is a file system of 4 MB and 64 files.
func mountSmallDisk(t *testing.T, dir string) {
	t.Helper()
	tool := harness.NeedTool(t, "mount")
	if out, err := commandOutput(tool, "-t", "tmpfs", "-o", "size=4m,nr_inodes=64", "tmpfs", dir); err != nil {
		harness.SkipUnlessCI(t, "cannot mount: %v %s", err, out)
	}
	// Registered before the relay starts, so it runs after the relay has ended.
	t.Cleanup(func() {
		if out, err := commandOutput("umount", dir); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
}

// fill writes until there is no space left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// putOff sends a message and wants a 452.
func putOff(t *testing.T, r *harness.Relay, s harness.Sample) {
	t.Helper()
	if answer := r.SendOne(t, s); !strings.HasPrefix(answer, "452 4.3.1 ") {
		t.Errorf("on a full disk: %q, want 452 4.3.1", answer)
	}
}
