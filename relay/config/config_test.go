package config

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testcert"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata/bad")

// inTestFolder makes a folder with the files that fixtures refer to, goes there
// and copies a fixture into it.
func inTestFolder(t *testing.T, fixture string) (name string) {
	t.Helper()
	data, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	writeKeyPair(t, "relay", time.Now().AddDate(1, 0, 0))
	writeKeyPair(t, "other", time.Now().AddDate(1, 0, 0))
	writeKeyPair(t, "expired", time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC))
	writeAuthority(t)
	write(t, "contoso.secret", []byte("from-file\n"))
	write(t, "empty.secret", []byte("\n"))
	write(t, "signature.htm", []byte("\ufeff<html><body><b>{{.DisplayName}}</b></body></html>"))
	write(t, "latin1.htm", []byte("<p>M\xfcller</p>"))
	t.Setenv("GRAPHRELAY_TEST_SECRET", "from-environment")
	t.Setenv(federatedTokenEnv, "")
	name = filepath.Base(fixture)
	write(t, name, data)
	return name
}

func writeKeyPair(t *testing.T, name string, end time.Time) {
	t.Helper()
	key := testcert.NewKey(t)
	testcert.WriteKey(t, name+".key", key)
	testcert.WriteCert(t, name+".crt", testcert.SelfSigned(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "relay.contoso.test"}, NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: end,
	}, key))
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func fixtures(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures at %s: %v", pattern, err)
	}
	for i := range paths {
		if paths[i], err = filepath.Abs(paths[i]); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// TestBad compares the errors of each bad file with those that are expected.
// Secrets in the files are hidden-value, which no error may show.
func TestBad(t *testing.T) {
	for _, path := range fixtures(t, "testdata/bad/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			_, err := Load(inTestFolder(t, path))
			var faults Errors
			if !errors.As(err, &faults) {
				t.Fatalf("got %v, want Errors", err)
			}
			if strings.Contains(err.Error(), "hidden-value") {
				t.Error("the error shows a secret")
			}
			compare(t, strings.TrimSuffix(path, ".yaml")+".want", err.Error()+"\n")
		})
	}
}

func compare(t *testing.T, wantFile, got string) {
	t.Helper()
	if *update {
		write(t, wantFile, []byte(got))
	}
	want, err := os.ReadFile(wantFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// TestGood loads each good file and compares its warnings with the comments
// "# warning: " in it.
func TestGood(t *testing.T) {
	for _, path := range fixtures(t, "testdata/good/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			name := inTestFolder(t, path)
			cfg, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if warning, ok := strings.CutPrefix(line, "# warning: "); ok {
					want = append(want, strings.TrimSpace(warning))
				}
			}
			if got := cfg.Warnings(); !slices.Equal(got, want) {
				t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestLoad reads the file that must always be accepted.
func TestLoad(t *testing.T) {
	relay := fixtures(t, "testdata/good/relay.yaml")[0]
	inTestFolder(t, relay)
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(filepath.Join(folder, "relay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c := cfg.Connections[0]
	checks := []struct{ what, got, want string }{
		{"data_dir", cfg.DataDir, filepath.Join(folder, "data")},
		{"cert_file", cfg.TLS.CertFile, filepath.Join(folder, "relay.crt")},
		{"tls", string(cfg.Listeners[1].TLS), "starttls"},
		{"default auth", string(cfg.Listeners[0].Auth), "none"},
		{"network", cfg.Listeners[0].Networks[0].String(), "127.0.0.0/8"},
		{"secret", c.ClientSecret.Reveal(), "simulated"},
		{"endpoint", c.Endpoints.Graph, "http://127.0.0.1:8100"},
		{"pattern", cfg.Senders[0].Match.String(), "*@printers.local"},
		{"default", cfg.Limits.Timeout.String(), "5m"},
		{"connection", cfg.ConnectionOf("Anna@CONTOSO.test").Name, "contoso"},
	}
	for _, check := range checks {
		if check.got != check.want {
			t.Errorf("%s: got %q, want %q", check.what, check.got, check.want)
		}
	}
	if got := cfg.ConnectionOf("anna@fabrikam.test"); got != nil {
		t.Errorf("connection of a foreign domain: %v", got.Name)
	}
}

// TestSecretSources reads secrets from a file and from the environment.
func TestSecretSources(t *testing.T) {
	cfg, err := Load(inTestFolder(t, fixtures(t, "testdata/good/sources.yaml")[0]))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"from-file", "from-environment"} {
		if got := cfg.Connections[i].ClientSecret.Reveal(); got != want {
			t.Errorf("secret %d: got %q, want %q", i, got, want)
		}
	}
}

// TestClouds checks the endpoints of each cloud, and that other endpoints need no cloud.
func TestClouds(t *testing.T) {
	cfg, err := Load(inTestFolder(t, fixtures(t, "testdata/good/clouds.yaml")[0]))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Endpoints{
		{"https://login.microsoftonline.com", "https://graph.microsoft.com"},
		{"https://login.microsoftonline.com", "https://graph.microsoft.com"},
		{"https://login.microsoftonline.us", "https://graph.microsoft.us"},
		{"https://login.microsoftonline.us", "https://dod-graph.microsoft.us"},
		{"https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"},
		{"https://login.microsoftonline.com", "https://gateway.contoso.test/graph"},
	} {
		if c := cfg.Connections[i]; c.Endpoints != want {
			t.Errorf("%s: got %+v, want %+v", c.Name, c.Endpoints, want)
		}
	}
}

// TestProxyURL checks that passwords come from all sources, and authorities from files.
func TestProxyURL(t *testing.T) {
	cfg, err := Load(inTestFolder(t, fixtures(t, "testdata/good/proxy.yaml")[0]))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		url         string
		authorities int
	}{{"http://relay:from-file@proxy.test:3128", 1}, {"https://relay:from-environment@proxy.test/", 1}, {"http://[2001:db8::1]:3128", 0}} {
		if c := cfg.Connections[i]; c.ProxyURL().String() != want.url || len(c.Authorities) != want.authorities {
			t.Errorf("%s: got %s and %d authorities, want %+v", c.Name, c.ProxyURL(), len(c.Authorities), want)
		}
	}
	if none := (&Connection{}).ProxyURL(); none != nil {
		t.Errorf("no proxy: %s", none)
	}
}

// TestUnreadable covers faults that no fixture can hold.
func TestUnreadable(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "large.yaml", bytes.Repeat([]byte("#"), maxFile+1))
	write(t, "comments.yaml", []byte("# nothing yet\n"))
	write(t, "control.yaml", []byte("hostname: \x01\n"))
	for name, want := range map[string]string{
		"none.yaml":     "none.yaml: names a file that does not exist; give the path of a configuration file with --config, or make one with graphrelay setup",
		".":             ".: names a file that cannot be read (is a directory); give the path of a configuration file with --config, or make one with graphrelay setup",
		"large.yaml":    "large.yaml: is larger than 1MiB; give the path of a configuration file with --config, or make one with graphrelay setup",
		"comments.yaml": "comments.yaml: is empty; start from config.example.yaml",
		"control.yaml":  "control.yaml:1: has a control character; save the file as text in UTF-8",
	} {
		if _, err := Load(name); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot:  %v\nwant: %s", name, err, want)
		}
	}
}

// TestWorldReadableKey warns of a key that everybody may read.
func TestWorldReadableKey(t *testing.T) {
	name := inTestFolder(t, fixtures(t, "testdata/good/relay.yaml")[0])
	if err := os.Chmod("relay.key", 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Warnings(); len(got) != 1 || !strings.HasPrefix(got[0], "relay.yaml:22: tls.key_file: names a file that every user") {
		t.Errorf("got %q", got)
	}
}

// TestNotPermitted checks that a file that this user may not read is told from one that is not
// there, and with what to do. Root may read everything, so the error is given.
func TestNotPermitted(t *testing.T) {
	err := readError(&fs.PathError{Op: "open", Path: "hidden-value", Err: fs.ErrPermission})
	got := withRemedy(err, fileRemedy)
	for _, want := range []string{"that the user " + userName() + " may not read; ", "chgrp " + userName(), "chmod g+r"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if strings.Contains(got, fileRemedy) || strings.Contains(got, "hidden-value") {
		t.Errorf("got %q", got)
	}
}

// TestUnwritableDataDir checks the folder itself or, where it is missing, the one in which it
// would be created.
func TestUnwritableDataDir(t *testing.T) {
	t.Chdir(t.TempDir())
	above, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("there", 0o700); err != nil {
		t.Fatal(err)
	}
	for path, folder := range map[string]string{"there": filepath.Join(above, "there"), filepath.Join("not", "there"): above} {
		for _, may := range []bool{true, false} {
			asked := ""
			r := newReport("relay.yaml")
			checkDataDir(path, func(f string) bool { asked = f; return may }, r)
			if asked != folder {
				t.Errorf("%s: asked about %s, want %s", path, asked, folder)
			}
			want := "data_dir: is " + filepath.Join(above, path) + ", but the user " + userName() + " may not write to " + folder
			if got := r.warnings; may != (len(got) == 0) || !may && !strings.Contains(got[0].Error(), want) {
				t.Errorf("%s, %v: %v", path, may, got)
			}
		}
	}
}

// TestInlineSecret warns of secrets in a configuration that everybody may read.
func TestInlineSecret(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes here")
	}
	name := inTestFolder(t, fixtures(t, "testdata/good/proxy.yaml")[0])
	for mode, want := range map[fs.FileMode][]string{0o640: nil, 0o644: {"connections[0].client_secret:", "connections[1].client_secret:", "connections[2].client_secret:"}} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range cfg.Warnings() {
			if strings.Contains(w, "is a secret in a file that every user of this machine can read") {
				got = append(got, strings.Fields(w)[1])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("mode %o: %q, want %q", mode, got, want)
		}
	}
}

// TestPlaceholderInFile finds a placeholder wherever the secret comes from.
func TestPlaceholderInFile(t *testing.T) {
	name := inTestFolder(t, fixtures(t, "testdata/good/sources.yaml")[0])
	write(t, "contoso.secret", []byte("change-me\n"))
	cfg, err := Load(name)
	if err != nil || len(cfg.Warnings()) != 1 || !strings.Contains(cfg.Warnings()[0], "connections[0].client_secret_file: is still change-me") {
		t.Errorf("%v, %q", err, cfg.Warnings())
	}
	t.Setenv("GRAPHRELAY_TEST_SECRET", "${SECRET}")
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "connections[1].client_secret_env: is a reference to a variable") {
		t.Error(err)
	}
}

// FuzzLoad looks for panics, endless work, and errors without text.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../../config.example.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse(data, "fuzz.yaml")
		if (cfg == nil) != (err != nil) {
			t.Fatalf("config %v with error %v", cfg, err)
		}
		var faults Errors
		if err != nil && !errors.As(err, &faults) {
			t.Fatalf("got %T, want Errors", err)
		}
		for _, fault := range faults {
			if strings.ContainsAny(fault.Error(), "\r\n\x00") || !strings.Contains(fault.Text, "; ") {
				t.Errorf("fault is not one line with a remedy: %q", fault.Error())
			}
		}
	})
}

// TestLegacy checks what the profile changes, and that only listed networks may sign in
// without TLS.
func TestLegacy(t *testing.T) {
	cfg, err := Load(inTestFolder(t, fixtures(t, "testdata/good/legacy.yaml")[0]))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		plainAuth bool
		lines     Size
		domain    string
	}{{true, 1 * MiB, "contoso.test"}, {false, 1 * MiB, ""}, {false, 2 * KiB, ""}, {false, 1 * MiB, ""}} {
		l := cfg.Listeners[i]
		if l.PlainAuth() != want.plainAuth || cfg.LineLimit(l) != want.lines || l.AddDomain != want.domain {
			t.Errorf("%s: got %v, %v, %q; want %+v", l.Name, l.PlainAuth(), cfg.LineLimit(l), l.AddDomain, want)
		}
	}
	modern := cfg.Listeners[0]
	modern.Profile = ProfileModern
	if modern.PlainAuth() || cfg.LineLimit(modern) != cfg.Limits.LineLength {
		t.Error("a modern listener has what the profile gives")
	}
}
