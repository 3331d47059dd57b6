package readers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"graphrelay/mime"
)

// reading is what one reader finds in a message.
type reading struct {
	Error   string
	Subject string
	From    []string
	To      []string
	Cc      []string
	Text    string
	HTML    string
	Files   []file
}

type file struct {
	Name string
	Sum  string // sha256, with LF as line ends and none at the end
	made bool   // the file has no name for the other readers
}

// compared are the things that are compared, each as a text that is the same if two
// readers found the same.
var compared = []struct {
	what string
	of   func(r reading) string
}{
	{"subject", func(r reading) string { return squeeze(r.Subject) }},
	{"from", func(r reading) string { return list(r.From) }},
	{"to", func(r reading) string { return list(r.To) }},
	{"cc", func(r reading) string { return list(r.Cc) }},
	{"body", reading.body},
	{"files", func(r reading) string {
		var sums []string
		for _, f := range r.Files {
			sums = append(sums, f.Sum[:16])
		}
		return strings.Join(sums, "\n")
	}},
	{"names", func(r reading) string {
		var names []string
		for _, f := range r.Files {
			if !f.made {
				names = append(names, squeeze(f.Name))
			}
		}
		return strings.Join(names, "\n")
	}},
}

// comparison is what the readers found in one message.
type comparison struct {
	file     string
	readings map[string]reading // by reader; ours is "relay"
	alone    []string           // in which the relay differs from all others, which agree
	split    []string           // on which the others disagree
}

const ours = "relay"

func compareFiles(t *testing.T, files []string) []comparison {
	t.Helper()
	dir := t.TempDir()
	list := make([]comparison, len(files))
	var paths []string
	for i, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, ".raw.eml") { // as it is after SMTP
			raw = bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.eml", i))
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		list[i] = comparison{file: f, readings: map[string]reading{ours: readOurs(t, raw)}}
	}
	for name, command := range otherReaders(t) {
		for i, r := range runReader(t, command, paths) {
			list[i].readings[name] = r
		}
	}
	for i := range list {
		list[i].markMade()
		list[i].judge()
	}
	return list
}

// markMade marks the files that no other reader has a name for: the relay makes one, since
// Graph wants a name.
func (c *comparison) markMade() {
	known := map[string]bool{} // sums and names of named files
	for name, r := range c.readings {
		for _, f := range r.Files {
			if name != ours && f.Name != "" {
				known[f.Sum], known[f.Name] = true, true
			}
		}
	}
	for _, r := range c.readings {
		for i, f := range r.Files {
			r.Files[i].made = !known[f.Sum] && !known[f.Name]
		}
	}
}

// readOurs returns what the relay would deliver.
func readOurs(t *testing.T, raw []byte) reading {
	t.Helper()
	m, err := mime.Parse(bytes.NewReader(raw), int64(len(raw)), mime.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	r := reading{Subject: m.Subject}
	for _, l := range []struct {
		from []mime.Address
		to   *[]string
	}{{m.From, &r.From}, {m.To, &r.To}, {m.Cc, &r.Cc}} {
		for _, a := range l.from {
			*l.to = append(*l.to, a.Address)
		}
	}
	if r.Text = m.Body.Content; m.Body.HTML {
		r.Text, r.HTML = m.Text, m.Body.Content
	}
	for _, a := range m.Attachments {
		content, err := io.ReadAll(a.Open())
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.TrimRight(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")), "\n")
		sum := sha256.Sum256(content)
		r.Files = append(r.Files, file{Name: a.Name, Sum: hex.EncodeToString(sum[:])})
	}
	return r
}

// judge finds out in what the readers differ. Those that failed have no say.
func (c *comparison) judge() {
	for _, what := range compared {
		values := map[string]bool{}
		n := 0
		for name, r := range c.readings {
			if name != ours && r.Error == "" {
				values[what.of(r)] = true
				n++
			}
		}
		switch {
		case len(values) > 1:
			c.split = append(c.split, what.what)
		case n > 1 && !values[what.of(c.readings[ours])]:
			c.alone = append(c.alone, what.what)
		}
	}
}

// report returns the differences in one message, or nothing.
func (c *comparison) report(splits bool) string {
	shown := c.alone
	if splits {
		shown = append(slices.Clone(shown), c.split...)
	}
	if len(shown) == 0 {
		return ""
	}
	out := "== " + c.file + "\n"
	for _, what := range shown {
		out += "-- " + what + "\n" + c.show(what)
	}
	return out
}

// show returns what each reader found, from where they begin to differ.
func (c *comparison) show(what string) (out string) {
	values := map[string]string{}
	for _, p := range compared {
		for name, r := range c.readings {
			if p.what == what && r.Error == "" {
				values[name] = p.of(r)
			}
		}
	}
	from := max(0, samePrefix(slices.Collect(maps.Values(values)))-20)
	for _, name := range slices.Sorted(maps.Keys(c.readings)) {
		value := "failed: " + c.readings[name].Error
		if v, ok := values[name]; ok {
			value = fmt.Sprintf("%.200q", v[from:])
		}
		out += fmt.Sprintf("%-12s %s\n", name, value)
	}
	return out
}

// samePrefix returns the length of what all values begin with.
func samePrefix(values []string) int {
	n := 0
	for ; ; n++ {
		for _, v := range values {
			if n >= len(v) || v[n] != values[0][n] {
				return n
			}
		}
	}
}

// body returns the letters and digits that a reader of the message sees: of the HTML if
// there is any, or else of the text.
func (r reading) body() string {
	text := r.Text
	if strings.TrimSpace(r.HTML) != "" {
		text = mime.HTMLText(r.HTML)
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return c
		}
		return -1
	}, text)
}

func list(addresses []string) string {
	sorted := slices.Clone(addresses)
	for i, a := range sorted {
		sorted[i] = strings.ToLower(a)
	}
	slices.Sort(sorted)
	return strings.Join(sorted, " ")
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
