package costs

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// margin is the part of a counter by which it may differ.
const margin = 0.05

// leastDifference is the difference up to which a counter counts as the same.
var leastDifference = costs{allocations: 1, allocated: 100, bytesWritten: 100, writes: 0.5, requests: 0}

// goRelease returns the release of Go, without its minor version: the library and the compiler
// decide what is allocated.
func goRelease() string {
	parts := strings.SplitN(runtime.Version(), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// format returns the text of a baseline.
func format(all map[string]costs) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What the hot paths take for each message or call (go test ./test/costs -update).\n%s\n", goRelease())
	for _, path := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "\n%s\n", path)
		for _, counter := range slices.Sorted(maps.Keys(all[path])) {
			fmt.Fprintf(&b, "\t%-17s %.1f\n", counter, all[path][counter])
		}
	}
	return b.Bytes()
}

// parse returns the release of Go and the costs that a baseline has.
func parse(text string) (release string, all map[string]costs, err error) {
	all = map[string]costs{}
	path := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case release == "":
			release = line
		case line[0] != '\t':
			path = line
			all[path] = costs{}
		default:
			at := strings.LastIndexByte(line, ' ')
			counter := strings.TrimSpace(line[:at+1])
			if all[path][counter], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
				return "", nil, err
			}
		}
	}
	return release, all, nil
}

// differences returns how the costs differ from the baseline, beyond the margin. A counter that
// this system does not have is left out.
func differences(baseline, measured map[string]costs) (list []string) {
	for _, path := range slices.Sorted(maps.Keys(measured)) {
		if baseline[path] == nil {
			list = append(list, path+" is not in the baseline")
			continue
		}
		for _, counter := range slices.Sorted(maps.Keys(measured[path])) {
			was, is := baseline[path][counter], measured[path][counter]
			if math.Abs(is-was) > max(leastDifference[counter], margin*was) {
				list = append(list, fmt.Sprintf("%s: %s were %.1f, are %.1f (%+.1f %%)", path, counter, was, is, (is-was)/was*100))
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(baseline)) {
		if measured[path] == nil {
			list = append(list, path+" is in the baseline and is not measured")
		}
	}
	return list
}

// TestDifferences checks that what is beyond the margin is found, in both directions.
func TestDifferences(t *testing.T) {
	baseline := map[string]costs{"a": {allocations: 100, allocated: 10000}, "b": {allocations: 2}}
	release, again, err := parse(string(format(baseline)))
	if err != nil || release != goRelease() || len(differences(baseline, again)) > 0 {
		t.Fatalf("%q, %v, %v", release, again, err)
	}
	for _, c := range []struct {
		measured map[string]costs
		want     int
	}{
		{map[string]costs{"a": {allocations: 105, allocated: 9500}, "b": {allocations: 3}}, 0},
		{map[string]costs{"a": {allocations: 106, allocated: 10000}, "b": {allocations: 2}}, 1},
		{map[string]costs{"a": {allocations: 94, allocated: 9400}, "b": {allocations: 3.5}}, 3},
		{map[string]costs{"a": {allocations: 100, allocated: 10000}}, 1},
		{map[string]costs{"a": {allocations: 100}, "b": {allocations: 2}, "c": {}}, 1},
	} {
		if list := differences(baseline, c.measured); len(list) != c.want {
			t.Errorf("%v: %q, want %d", c.measured, list, c.want)
		}
	}
}
