package probe_test

import (
	"testing"
	"testing/synctest"

	"graphrelay/relay/probe"
)

// In a tenant that is as the relay expects, each step is made and is ok, and nothing is left.
func TestProbe(t *testing.T) { synctest.Test(t, testProbe) }

func testProbe(t *testing.T) {
	r := newRig(t, tenant(nil))
	o := r.options()
	o.Large = true
	report := r.run(o)
	t.Log("\n" + lines(report))
	wantVerdicts(t, report, nil)
	r.wantClean(report)
	if report.Exit() != probe.ExitOK {
		t.Errorf("exit status %d", report.Exit())
	}
}
