package inprocess

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// dialogConfig has a user who may send as a whole domain and as one device, and
// connections with and without the right to make drafts, for larger and for smaller
// messages, and without upload sessions.
const dialogConfig = `
hostname: relay.test
data_dir: %s
listeners:
  - name: open
    address: "127.0.0.1:0"
    auth: optional
    recipients: {deny: ["*@rival.test", "*@*.rival.test"]}
users:
  - name: crm
    password_hash: %q
    senders: ["*@contoso.test", "legacy@printers.local"]
    recipients: {allow: ["*@example.test", "*@rival.test"], deny: ["boss@example.test"]}
connections:
  - {name: contoso, tenant: &tenant 11111111-1111-1111-1111-111111111111, client_id: &id 22222222-2222-2222-2222-222222222222,
     client_secret: s, domains: [contoso.test], endpoints: &nowhere {login: "http://127.0.0.1:1", graph: "http://127.0.0.1:1"}}
  - {name: fabrikam, tenant: *tenant, client_id: *id, client_secret: s, domains: [fabrikam.test], endpoints: *nowhere, mail_readwrite: false}
  - {name: large, tenant: *tenant, client_id: *id, client_secret: s, domains: [large.test], endpoints: *nowhere, message_size: 40MiB}
  - {name: small, tenant: *tenant, client_id: *id, client_secret: s, domains: [small.test], endpoints: *nowhere, message_size: 64KiB}
  - {name: gov, tenant: *tenant, client_id: *id, client_secret: s, domains: [gov.test], endpoints: *nowhere, uploads: off}
senders:
  - {match: "*@printers.local", mailbox: scanner@contoso.test}
admin: {address: "localhost:0"}
`

// TestDialogs runs testdata/dialogs: lines after "C: " are sent, lines after "S: "
// must be the answer ("..." at the end stands for any rest). "! config: " adds to the
// configuration above, and "! queued: " says how many messages there are.
func TestDialogs(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogs/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".dialog"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n")
			yaml := fmt.Sprintf(dialogConfig, filepath.ToSlash(t.TempDir()), hash)
			for _, l := range lines {
				if more, ok := strings.CutPrefix(l, "! config: "); ok {
					yaml += more + "\n"
				}
			}
			cfg, err := config.Parse([]byte(yaml), "relay.yaml")
			if err != nil {
				t.Fatal(err)
			}
			r := Run(t, cfg, io.Discard)
			runDialog(t, r, lines)
		})
	}
}

func runDialog(t *testing.T, r *Running, lines []string) {
	t.Helper()
	nc, err := net.Dial("tcp", r.Address("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute)) // a guard, not a measure
	replies := bufio.NewReader(nc)
	for n, l := range lines {
		kind, rest, _ := strings.Cut(l, " ")
		switch kind {
		case "C:":
			if _, err := io.WriteString(nc, expand(rest)+"\r\n"); err != nil {
				t.Fatal(err)
			}
		case "S:":
			got, err := replies.ReadString('\n')
			got = strings.TrimRight(got, "\r\n")
			prefix, open := strings.CutSuffix(rest, "...")
			if err != nil || got != rest && !(open && strings.HasPrefix(got, prefix)) {
				t.Fatalf("line %d: got %q %v, want %q", n+1, got, err, rest)
			}
		case "!":
			if want, ok := strings.CutPrefix(rest, "queued: "); ok {
				list, err := r.Store.List(t.Context(), queue.Filter{})
				if got := fmt.Sprint(len(list)); err != nil || got != want {
					t.Fatalf("line %d: %s messages, %v; want %s", n+1, got, err, want)
				}
			}
		}
	}
}

// repeated is "{n x text}" in a dialog, for text n times.
var repeated = regexp.MustCompile(`\{(\d+) x ([^}]*)\}`)

// expand knows {b64 text}, in which \0 is NUL, and {n x text}, in which \n is a line's end.
func expand(s string) string {
	s = repeated.ReplaceAllStringFunc(s, func(m string) string {
		var n int
		_, _ = fmt.Sscan(m[1:], &n)
		return strings.Repeat(strings.ReplaceAll(repeated.FindStringSubmatch(m)[2], `\n`, "\r\n"), n)
	})
	before, rest, found := strings.Cut(s, "{b64 ")
	if !found {
		return s
	}
	text, after, _ := strings.Cut(rest, "}")
	return before + base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(text, `\0`, "\x00"))) + after
}
