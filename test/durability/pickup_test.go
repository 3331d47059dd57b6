package durability

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"graphrelay/test/harness"
)

// TestPickupCrash kills the relay again and again while it takes files from the pickup folder. The
// message of each file is sent once, and no file is left.
func TestPickupCrash(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	folder := t.TempDir()
	relay := harness.StartRelay(t, sim, harness.DeliveryKey("send_settle: 6s"), harness.Replace("\ndelivery:\n", fmt.Sprintf("\npickup: {folder: %q, settle: 1s}\n\ndelivery:\n", folder)))
	const files, kills = 600, 4
	plain := harness.TenKilobytes("pickup")
	for n := range files {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.eml", n)), []byte(plain(n).Compose(harness.EncodedWordName)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int {
		found, err := filepath.Glob(filepath.Join(folder, "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	waiting := func() int {
		found, err := filepath.Glob(filepath.Join(folder, "work", "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	for k := range kills {
		harness.WaitFor(t, "files to be taken", func() bool { return left()+waiting() <= files-files*(k+1)/(kills+2) })
		relay.Kill(t)
		t.Logf("killed with %d files in the folder and %d in work", left(), waiting())
		relay.Start(t)
	}
	harness.WaitFor(t, "all files to be taken", func() bool { return left()+waiting() == 0 })
	relay.Settled(t)
	times := map[string]int{}
	for _, d := range sim.Ledger(t) {
		times[d.Subject]++
	}
	for n := range files {
		if got := times[plain(n).Subject]; got != 1 {
			t.Errorf("%q was sent %d times", plain(n).Subject, got)
		}
	}
	if bad, _ := filepath.Glob(filepath.Join(folder, "badmail", "*")); len(bad) > 0 {
		t.Errorf("refused: %q", bad)
	}
}
