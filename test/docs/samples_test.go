package docs_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/config"
	"graphrelay/test/harness"
)

// blocks returns the indented blocks of a document, without their indentation.
func blocks(t *testing.T, name string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	var block []string
	end := func() {
		if len(block) > 0 {
			all = append(all, dedent(block))
		}
		block = nil
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\r\n", "\n")) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "    "):
			block = append(block, line)
		case line == "" && len(block) > 0:
			block = append(block, "")
		default:
			end()
		}
	}
	end()
	return all
}

func dedent(lines []string) string {
	least := 100
	for _, l := range lines {
		if l != "" {
			least = min(least, len(l)-len(strings.TrimLeft(l, " ")))
		}
	}
	for i, l := range lines {
		lines[i] = l[min(least, len(l)):]
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}

// topKey matches a line with which a part of a configuration begins.
var topKey = regexp.MustCompile(`^(listeners|connections|users|senders|signatures|mailboxes|tls|limits|rates|queue|delivery|admin|log|hostname|data_dir):`)

// TestConfigurationSamples reads each part of a configuration that a document shows: it is YAML,
// and all its keys exist. What a part lacks to be a whole is no fault.
func TestConfigurationSamples(t *testing.T) {
	samples := 0
	for _, name := range pages(t) {
		for _, block := range blocks(t, name) {
			for _, part := range strings.Split(block, "\n\n") {
				switch first, _, _ := strings.Cut(part, "\n"); {
				case strings.HasPrefix(part, "- name: ") && strings.Contains(part, "address:"):
					part = "listeners:\n  " + strings.ReplaceAll(part, "\n", "\n  ")
				case strings.HasPrefix(part, "sign_in:"):
					part = "connections:\n  - " + strings.ReplaceAll(part, "\n", "\n    ")
				case strings.HasPrefix(first, "# relay.yaml"):
				case !topKey.MatchString(part):
					continue
				}
				samples++
				checkSample(t, name, part)
			}
		}
	}
	if samples < 9 {
		t.Errorf("only %d samples were found", samples)
	}
}

func checkSample(t *testing.T, name, part string) {
	t.Helper()
	_, err := config.Parse([]byte(part), name)
	var faults config.Errors
	if !errors.As(err, &faults) {
		return
	}
	for _, f := range faults {
		missing := strings.Contains(f.Text, "is missing") || strings.Contains(f.Text, "no connection has")
		if !missing && (f.Key == "" || strings.Contains(f.Text, "unknown key") || strings.Contains(f.Text, "; write ")) {
			t.Errorf("%s\n%s", f.Error(), part)
		}
	}
}

// TestOpenSSLCommands runs the commands of openssl that the documents show, each page's in an
// empty folder and in their order.
func TestOpenSSLCommands(t *testing.T) {
	for _, program := range []string{"openssl", "bash"} {
		harness.NeedTool(t, program)
	}
	ran := 0
	for _, name := range pages(t) {
		dir := t.TempDir()
		for _, block := range blocks(t, name) {
			for _, command := range commands(block) {
				if !strings.Contains(command, "openssl ") {
					continue
				}
				ran++
				c := exec.Command("bash", "-e", "-c", command)
				c.Dir = dir
				var out bytes.Buffer
				c.Stdout, c.Stderr = &out, &out
				if err := c.Run(); err != nil {
					t.Errorf("%s: %s: %v\n%s", name, command, err, out.String())
				}
			}
		}
		checkPrivate(t, name, dir)
	}
	if ran < 5 {
		t.Errorf("only %d commands were found", ran)
	}
}

// checkPrivate checks that the keys which the commands have made cannot be read by others.
func checkPrivate(t *testing.T, name, dir string) {
	t.Helper()
	keys, err := filepath.Glob(filepath.Join(dir, "*.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if info, err := os.Stat(key); err != nil || info.Mode()&0o004 != 0 {
			t.Errorf("%s makes %s with mode %o", name, filepath.Base(key), info.Mode())
		}
	}
}

// commands returns the commands of a block, with their continued lines joined.
func commands(block string) []string {
	return strings.Split(strings.ReplaceAll(block, "\\\n", " "), "\n")
}
