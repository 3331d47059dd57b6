package imports

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/config"
)

var update = flag.Bool("update", false, "write the expected files")

var cheap = Options{Cost: bcrypt.MinCost}

// hashes matches a hash, which is another one each time.
var hashes = regexp.MustCompile(`\$2a\$04\$[./A-Za-z0-9]{53}`)

// TestGolden translates each configuration in testdata: FOLDER/config.yml or FOLDER/main.cf gives
// FOLDER/relay.yaml, which has the notes, too.
func TestGolden(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/*")
	if err != nil || len(folders) < 6 {
		t.Fatal(folders, err)
	}
	for _, folder := range folders {
		if strings.Contains(folder, "fuzz") {
			continue
		}
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var r *Result
			if strings.Contains(folder, "smtp2graph") {
				r, err = SMTP2Graph(filepath.Join(folder, "config.yml"), cheap)
			} else {
				r, err = Postfix(folder, cheap)
			}
			if err != nil {
				t.Fatal(err)
			}
			here, err := filepath.Abs(folder)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(hashes.ReplaceAllString(string(r.YAML), "HASH"), here, "HERE")
			for _, s := range r.Secrets {
				got += fmt.Sprintf("# secret: %s has %d bytes\n", s.Name, len(s.Text.Reveal()))
			}
			wantFile(t, filepath.Join(folder, "relay.yaml"), got)
			checkSecrets(t, r)
		})
	}
}

func wantFile(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// checkSecrets checks that neither configuration nor notes have a secret of the files in testdata,
// all of which have a word in them.
func checkSecrets(t *testing.T, r *Result) {
	t.Helper()
	if all := string(r.YAML) + strings.Join(r.Notes, "\n"); strings.Contains(strings.ToLower(all), "sesame") {
		t.Errorf("a secret is shown:\n%s", all)
	}
	for _, n := range r.Notes {
		if strings.ContainsAny(n, "\n\r\x1b") {
			t.Errorf("a note is %q", n)
		}
	}
}

// Passwords are hashed: the users can sign in with those that they have.
func TestPasswordsAreKept(t *testing.T) {
	r, err := SMTP2Graph("testdata/smtp2graph/full/config.yml", cheap)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(r.YAML, "relay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(cfg.Users[0].PasswordHash.Reveal()), []byte("Sesame!1")); err != nil {
		t.Error(err)
	}
	if got := r.Secrets[0].Text.Reveal(); got != "sesame-proxy\n" {
		t.Errorf("the secret of the proxy is %q", got)
	}
}

// TestDomains adds domains, and drops what is none.
func TestDomains(t *testing.T) {
	o := cheap
	o.Domains = []string{"fabrikam.test", "no domain", "local"}
	r, err := SMTP2Graph("testdata/smtp2graph/short/config.yml", o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(r.YAML), `domains: ["contoso.onmicrosoft.com", "fabrikam.test"]`) {
		t.Errorf("%s", r.YAML)
	}
}

// TestRefused has files that cannot be translated, each with what is said. No answer shows a
// secret.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                "has no keys",
		"- a\n- b\n":      "has no keys",
		"a: 1\n":          "has no key of SMTP2Graph",
		"send: [sesame\n": "is not valid YAML: line",
		"receive: {requireAuth: true}\nmode: full\n":                                             "no user can be carried over",
		"receive: {requireAuth: true, users: [{username: 'a b', password: sesame}]}\nmode: x\n":  "no user can be carried over",
		"receive: {port: 25, ipWhitelist: [8.0.0.0/8]}\nsend: {appReg: {id: x, secret: sesame}}": "does not make a configuration",
		"receive: {port: 25}\nsend: {appReg: {secret: sesame, tenant: 'a b', id: x}}":            "does not make a configuration",
		strings.Repeat("#", maxFile) + "\nmode: full":                                            "is larger than",
	} {
		path := filepath.Join(dir, "config.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := SMTP2Graph(path, cheap)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%.80q: %v, want that it %s", text, err, want)
		}
	}
	if _, err := SMTP2Graph(dir, cheap); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Postfix(filepath.Join(dir, "config.yml"), cheap); err == nil || !strings.Contains(err.Error(), "no parameter of Postfix") && !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("a file of another program: %v", err)
	}
	if _, err := Postfix(dir, cheap); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "there is no "+filepath.Join(dir, "main.cf")) {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestExpand expands variables as postconf does, and ends with those that name themselves.
func TestExpand(t *testing.T) {
	p := &parameters{values: map[string]string{
		"a": "x", "b": "$a$a", "loop": strings.Repeat("$loop", 1000), "empty": "", "myhostname": "mail.contoso.test", "at": "$mydomain $myorigin",
		"long": strings.Repeat("y", 1000), "l2": strings.Repeat("$long", 1000), "l3": strings.Repeat("$l2", 1000),
	}}
	for in, want := range map[string]string{
		"$a": "x", "${a}1": "x1", "$(b)": "xx", "$$a": "$a", "$": "$", "${a?yes}": "yes", "${empty?yes}": "", "${empty:no}": "no",
		"${a:no}": "", "${a?{yes}}": "yes", "${a?$b}": "xx", "$loop": "", "$unknown": "", "$l3": "", "${a": "${a", "${a?": "", "$at": "contoso.test mail.contoso.test",
		"${a?{${empty:{deep}}}}": "deep", "a $ b": "a $ b",
	} {
		p.values["in"] = in
		if got := p.get("in"); got != want {
			t.Errorf("%q gives %.40q, want %q", in, got, want)
		}
	}
}

// FuzzSMTP2Graph has a hostile configuration: what comes out is a configuration, or an error.
func FuzzSMTP2Graph(f *testing.F) {
	for _, name := range []string{"full", "short", "certificate"} {
		data, err := os.ReadFile("testdata/smtp2graph/" + name + "/config.yml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [*a, *a]\nreceive: {users: [{username: \"x\\u2028- y\", password: z}]}\nmode: full\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "config.yml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := SMTP2Graph(path, cheap)
		checkResult(t, r, err)
	})
}

// FuzzPostfix has hostile files of Postfix, one of which is a table.
func FuzzPostfix(f *testing.F) {
	for _, name := range []string{"office", "gateway", "defaults"} {
		main, err := os.ReadFile("testdata/postfix/" + name + "/main.cf")
		if err != nil {
			f.Fatal(err)
		}
		master, _ := os.ReadFile("testdata/postfix/" + name + "/master.cf")
		table, _ := os.ReadFile("testdata/postfix/" + name + "/generic")
		f.Add(main, master, table)
	}
	f.Fuzz(func(t *testing.T, main, master, table []byte) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{"main.cf": main, "master.cf": master, "generic": table} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Postfix(dir, cheap)
		checkResult(t, r, err)
	})
}

func checkResult(t *testing.T, r *Result, err error) {
	t.Helper()
	if err != nil {
		return
	}
	if _, err := config.Parse(r.YAML, "relay.yaml"); err != nil {
		t.Fatalf("%v\n%s", err, r.YAML)
	}
	for _, n := range r.Notes {
		if strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("a note is %q", n)
		}
	}
}
