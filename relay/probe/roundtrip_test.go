package probe_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/probe"
)

// measured are facts that depend on the moment. Those in ms are compared by whether they are
// zero, and the others not at all.
var measured = []string{"sent_ms", "appear_ms", "filter_lag_ms", "in_flight", "requests_at_a_time", "retry_after_form", "clock_ahead_seconds"}

func comparable(facts map[string]any) map[string]any {
	all := map[string]any{}
	for name, v := range facts {
		if n, is := v.(float64); is && strings.HasSuffix(name, "_ms") {
			all[name] = n > 0
		} else if !slices.Contains(measured, name) {
			all[name] = v
		}
	}
	return all
}

// The simulator, told the facts of a tenant, shows the same facts and verdicts.
func TestProbeRoundTrip(t *testing.T) {
	if testing.Short() {
		t.Skip("every world takes two runs")
	}
	for _, test := range worldTests() {
		if test.left { // they wait for mail that does not come
			continue
		}
		inTime(t, strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			r, o := test.rig(t)
			first := r.run(o)
			again := tenant(nil)
			if _, err := probe.Simulate(&again, first.File().JSON()); err != nil {
				t.Fatal(err)
			}
			r2 := newRig(t, again)
			o2 := r2.options()
			o2.Large, o2.Waits = o.Large, o.Waits
			second := r2.run(o2)
			one, two := comparable(facts(t, first)), comparable(facts(t, second))
			if !reflect.DeepEqual(one, two) {
				for name := range one {
					if !reflect.DeepEqual(one[name], two[name]) {
						t.Errorf("%s was %v, is %v", name, one[name], two[name])
					}
				}
				for name := range two {
					if _, was := one[name]; !was {
						t.Errorf("%s was not there, is %v", name, two[name])
					}
				}
			}
			for n, result := range first.Results {
				if second.Results[n].Verdict != result.Verdict && result.Step != 19 {
					t.Errorf("was: %s\nis: %s", result.Line(), second.Results[n].Line())
				}
			}
		})
	}
}

// What cannot be taken over is said, and what is malformed is refused.
func TestSimulate(t *testing.T) {
	for _, test := range []struct{ file, note, fault string }{
		{`{"probe_file":1,"facts":{"new_in_2027":true,"clock_ahead_seconds":3}}`, "new_in_2027 is not known", ""},
		{`{"probe_file":1,"facts":{"clock_ahead_seconds":3}}`, "clock_ahead_seconds is of the machine", ""},
		{`{"probe_file":1,"facts":{"\u001b[2J":3}}`, "other is not known", ""},
		{`{"probe_file":1,"facts":{"filter_lag_ms":"long"}}`, "", "filter_lag_ms: is long, not a whole number"},
		{`{"probe_file":1,"facts":{"filter_ignored":1}}`, "", "filter_ignored: is 1, not true or false"},
		{`{"probe_file":1,"facts":{"delete_to":"nowhere"}}`, "", "deleteTo"},
		{`{"probe_file":1,"facts":{"filter_status":200}}`, "", "filterStatus"},
		{`{"probe_file":1,"facts":{"returned_codes":[1]}}`, "", "not a list of texts"},
		{`{"probe_file":2,"facts":{}}`, "", "not the output of graphrelay probe --json"},
		{`{}`, "", "not the output of graphrelay probe --json"},
		{`no JSON`, "", "not the output of graphrelay probe --json"},
	} {
		notes, err := probe.Simulate(new(simulator.Options), []byte(test.file))
		if test.fault == "" && (err != nil || !strings.Contains(strings.Join(notes, "\n"), test.note)) {
			t.Errorf("%s: %q, %v", test.file, notes, err)
		}
		if test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
			t.Errorf("%s: %v, want %s", test.file, err, test.fault)
		}
	}
}

// docs/probe.md explains each step and each fact, and docs/tenants.md has a row for the simulator
// with a file that is still read as a whole.
func TestProbeIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/probe.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range probe.FactNames() {
		if !strings.Contains(string(page), "| `"+name+"` |") {
			t.Errorf("docs/probe.md does not explain %s", name)
		}
	}
	file, err := os.ReadFile("testdata/simulator.json")
	if err != nil {
		t.Fatal(err)
	}
	var o simulator.Options
	notes, err := probe.Simulate(&o, file)
	for _, n := range notes {
		if strings.Contains(n, "not known") {
			t.Error(n)
		}
	}
	if err != nil || !json.Valid(file) {
		t.Error(err)
	}
}
