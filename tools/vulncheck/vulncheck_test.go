package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stream is what govulncheck writes about two vulnerabilities: the first is in a function
// that is called, the second in a package that is imported only.
const stream = `
{"config": {"protocol_version": "v1.0.0"}}
{"progress": {"message": "Scanning"}}
{"osv": {"id": "GO-2026-0001", "summary": "Parse hangs"}}
{"osv": {"id": "GO-2026-0002", "summary": "Write panics"}}
{"osv": {"id": "GO-2026-0003", "summary": "another version is vulnerable"}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v1.2.0", "trace": [{"module": "MODULE", "version": "v1.1.0"}]}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v1.2.0", "trace": [{"module": "MODULE", "version": "v1.1.0", "package": "MODULE/x"}]}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v1.2.0", "trace": [
	{"module": "MODULE", "version": "v1.1.0", "package": "MODULE/x", "function": "Parse"},
	{"module": "own", "package": "own/pkg", "receiver": "*Server", "function": "Serve", "position": {"filename": "pkg/serve.go", "line": 12}}]}}
{"finding": {"osv": "GO-2026-0002", "trace": [{"module": "MODULE", "version": "v1.1.0", "package": "MODULE/y"}]}}
`

func TestReport(t *testing.T) {
	const published = "v0.0.0-20261105234957-e22db6528018"
	day := func(s string) time.Time {
		date, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return date
	}
	for _, test := range []struct {
		name, module, exceptions, now string
		strict                        bool
		ok                            bool
		want                          []string
	}{
		{
			name: "called", module: "example.org/m", now: "2026-11-20",
			want: []string{
				"vulnerabilities known on 2026-11-05",
				"vulnerable: GO-2026-0001 in example.org/m v1.1.0: Parse hangs",
				"  pkg/serve.go:12: own/pkg.Server.Serve reaches example.org/m/x.Parse",
				"  run: go get example.org/m@v1.2.0",
				"not called: GO-2026-0002 in example.org/m v1.1.0: Write panics",
			},
		}, {
			name: "excepted", module: "example.org/m", now: "2026-12-31", ok: true,
			exceptions: "# comment\n\nGO-2026-0001 2026-12-31  not  on Linux\n",
			want: []string{
				"vulnerabilities known on 2026-11-05",
				"excepted: GO-2026-0001 in example.org/m v1.1.0: Parse hangs",
				"  not on Linux",
				"not called: GO-2026-0002 in example.org/m v1.1.0: Write panics",
			},
		}, {
			name: "expired, and the list is old", module: "example.org/m", now: "2027-01-05",
			exceptions: "GO-2026-0001 2027-01-04 not on Linux",
			want: []string{
				"vulnerabilities known on 2026-11-05",
				"warning: the list of vulnerabilities is older than 60 days: run make vulndb",
				"vulnerable: GO-2026-0001 in example.org/m v1.1.0: Parse hangs",
				"  pkg/serve.go:12: own/pkg.Server.Serve reaches example.org/m/x.Parse",
				"  run: go get example.org/m@v1.2.0",
				"  the exception in .ci/vulnerabilities.txt has expired",
				"not called: GO-2026-0002 in example.org/m v1.1.0: Write panics",
			},
		}, {
			name: "exception without a finding", module: "stdlib", now: "2026-11-20",
			exceptions: "GO-2026-0003 2026-12-31 not on Linux",
			want: []string{
				"vulnerabilities known on 2026-11-05",
				"warning: GO-2026-0001 in Go 1.1.0: Parse hangs (fixed in Go 1.2.0)",
				"not called: GO-2026-0002 in Go 1.1.0: Write panics",
				"GO-2026-0003 is not found any more: remove it from .ci/vulnerabilities.txt",
			},
		}, {
			name: "Go itself", module: "stdlib", now: "2026-11-20", ok: true,
			want: []string{
				"vulnerabilities known on 2026-11-05",
				"warning: GO-2026-0001 in Go 1.1.0: Parse hangs (fixed in Go 1.2.0)",
				"not called: GO-2026-0002 in Go 1.1.0: Write panics",
			},
		}, {
			name: "Go itself, strict", module: "stdlib", now: "2026-11-20", strict: true,
			want: []string{
				"vulnerabilities known on 2026-11-05",
				"vulnerable: GO-2026-0001 in Go 1.1.0: Parse hangs",
				"  pkg/serve.go:12: own/pkg.Server.Serve reaches stdlib/x.Parse",
				"  fixed in Go 1.2.0",
				"not called: GO-2026-0002 in Go 1.1.0: Write panics",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			findings, err := readResult(strings.NewReader(strings.ReplaceAll(stream, "MODULE", test.module)))
			if err != nil {
				t.Fatal(err)
			}
			exceptions, err := parseExceptions(strings.NewReader(test.exceptions))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			r := report{findings: findings, exceptions: exceptions, list: list{Version: published}, now: day(test.now), strict: test.strict}
			if ok := r.write(&out); ok != test.ok {
				t.Errorf("write reports %v, want %v", ok, test.ok)
			}
			if want := strings.Join(test.want, "\n") + "\n"; out.String() != want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
}

// Output that is cut off or unknown must never count as free of vulnerabilities.
func TestUnreadableOutput(t *testing.T) {
	for _, output := range []string{
		"",
		`{"osv": {"id": "GO-2026-0001"}}`,
		`{"config": {"protocol_version": "v2.0.0"}}`,
		`{"config": {"protocol_version": "v1.0.0"}} {"finding": {`,
		`{"config": {"protocol_version": "v1.0.0"}} {"finding": {"osv": "GO-2026-0001"}}`,
	} {
		if findings, err := readResult(strings.NewReader(output)); err == nil {
			t.Errorf("%q was read as %v", output, findings)
		}
	}
}

func TestBadExceptions(t *testing.T) {
	for _, line := range []string{"GO-2026-0001", "GO-2026-0001 2026-12-31", "GO-2026-0001 soon it is harmless"} {
		if all, err := parseExceptions(strings.NewReader(line)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v, %v", line, all, err)
		}
	}
}

// TestVulnerableModule checks a module that calls a vulnerable function of an old yaml.v2,
// with the real govulncheck and list.
func TestVulnerableModule(t *testing.T) {
	if testing.Short() {
		t.Skip("runs govulncheck")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module vulnerable\n\ngo 1.26.0\n\nrequire gopkg.in/yaml.v2 v2.2.2\n",
		"go.sum": `gopkg.in/check.v1 v0.0.0-20161208181325-20d25e280405 h1:yhCVgyC4o1eVCa2tZl7eS0r+SDo693bJlVdllGtEeKM=
gopkg.in/check.v1 v0.0.0-20161208181325-20d25e280405/go.mod h1:Co6ibVJAznAaIkqp8huTwlJQCZ016jof/cbN4VW5Yz0=
gopkg.in/yaml.v2 v2.2.2 h1:ZCJp+EgiOT7lHqUV2J862kp8Qj64Jo6az82+3Td9dZw=
gopkg.in/yaml.v2 v2.2.2/go.mod h1:hI93XBmqTisBFMUTm0b8Fm+jr3Dg1NNxqwp+5A1VGuI=
`,
		"main.go": `package main

import "gopkg.in/yaml.v2"

func main() {
	var v any
	yaml.Unmarshal(nil, &v)
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, needed := range []string{dir, "../../.ci/vulndb", "../../.ci/tools"} {
		download := exec.Command("go", "mod", "download")
		download.Dir = needed
		if out, err := download.CombinedOutput(); err != nil {
			if os.Getenv("CI") == "" {
				t.Skipf("needs modules that cannot be downloaded now: %s", out)
			}
			t.Fatalf("%v: %s", err, out)
		}
	}
	var out strings.Builder
	ok, err := check("../..", dir, false, &out)
	if err != nil {
		t.Fatal(err)
	}
	const want = "vulnerable: GO-2021-0061 in gopkg.in/yaml.v2 v2.2.2:"
	if ok || !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "main.go:7: vulnerable.main reaches gopkg.in/yaml.v2.") {
		t.Errorf("check reports %v, want false and %q:\n%s", ok, want, out.String())
	}
}
