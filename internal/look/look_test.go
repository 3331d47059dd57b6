package look_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/look"
	"graphrelay/test/harness"
)

// TestServed checks that each file that the head of a page names is served, and that browsers
// keep it for as long as it does not change.
func TestServed(t *testing.T) {
	mux := http.NewServeMux()
	look.Register(mux)
	names := regexp.MustCompile(`"(/_look/[^"]+)"`).FindAllStringSubmatch(string(look.Head()+look.PlotHead()), -1)
	if len(names) != 7 {
		t.Fatalf("head names %v", names)
	}
	get := func(path, etag string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("If-None-Match", etag)
		mux.ServeHTTP(w, r)
		return w
	}
	for _, name := range names {
		w := get(name[1], "")
		if w.Code != 200 || w.Body.Len() == 0 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", name[1], w.Code, w.Header())
		}
		path, _, _ := strings.Cut(name[1], "?")
		plain := get(path, "")
		if plain.Code != 200 || plain.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", path, plain.Code, plain.Header())
		}
		if w := get(path, plain.Header().Get("ETag")); w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("%s again: %d", path, w.Code)
		}
	}
	if w := get("/_look/package.json", ""); w.Code != 404 {
		t.Errorf("another file: %d", w.Code)
	}
}

// TestVendored compares the files in the program with those of the packages in the lock file.
func TestVendored(t *testing.T) {
	for _, file := range []string{"htmx.org/LICENSE", "htmx.org/dist/htmx.min.js",
		"uplot/LICENSE", "uplot/dist/uPlot.iife.min.js", "uplot/dist/uPlot.min.css"} {
		want, err := os.ReadFile("node_modules/" + file)
		if os.IsNotExist(err) {
			harness.SkipUnlessCI(t, "the npm packages are not installed; .ci/install installs them")
		}
		got, _ := os.ReadFile("vendored/" + strings.Replace(file, "/dist/", "/", 1))
		if string(got) != string(want) {
			t.Errorf("%s is not what the package has: run vendor.sh", file)
		}
	}
}

// TestNothingFromElsewhere checks that the stylesheet loads nothing.
func TestNothingFromElsewhere(t *testing.T) {
	css, err := os.ReadFile("look.css")
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`(?i)url\(|@import|https?:`).FindString(string(css)); found != "" {
		t.Errorf("look.css has %s", found)
	}
}

func TestFigures(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1 kB", 1349: "1.3 kB", 9949: "9.9 kB", 9950: "10 kB", 12_000_000: "12 MB",
		999_499: "999 kB", 999_500: "1 MB", 157_286_400: "157 MB", 1_500_000_000_000: "1.5 TB",
	} {
		if got := look.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 s", 300 * time.Microsecond: "<1 ms", 34*time.Millisecond + 400*time.Microsecond: "34 ms", 999600 * time.Microsecond: "1 s",
		1234 * time.Millisecond: "1.2 s", 59*time.Second + 600*time.Millisecond: "1 min", 200 * time.Second: "3 min 20 s",
		time.Hour: "1 h", 125 * time.Minute: "2 h 5 min", 76 * time.Hour: "3 d 4 h",
	} {
		if got := look.Duration(d); got != want {
			t.Errorf("Duration(%s) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := look.Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
