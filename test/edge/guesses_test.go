package edge

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"graphrelay/test/harness"
)

// guess signs in over a connection of its own, and returns the code of the answer.
func guess(r *harness.Relay, from, user, password string) (string, error) {
	d, err := harness.DialFrom(from, r.Address["devices"])
	if err != nil {
		return "", err
	}
	defer d.Close()
	return d.Answer("AUTH PLAIN %s", harness.PlainResponse(user, password))[:3], nil
}

// TestGuesses tries 1,000 passwords from one address. The relay must not check most of
// them, other addresses must be able to send meanwhile, and fail2ban must find the
// address in the log.
func TestGuesses(t *testing.T) {
	t.Parallel()
	harness.NeedAddresses(t)
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim, harness.WithPasswords)
	var answers [1000]string
	var next atomic.Int32
	var guessing sync.WaitGroup
	for range 16 {
		guessing.Go(func() {
			for i := next.Add(1); i <= int32(len(answers)); i = next.Add(1) {
				answer, err := guess(relay, "127.0.0.66", harness.CRMUser, fmt.Sprint("guess ", i))
				if err != nil {
					answer = err.Error()
				}
				answers[i-1] = answer
			}
		})
	}
	for i := range 20 {
		d, err := harness.DialFrom(fmt.Sprintf("127.0.0.%d", 2+i%2), relay.Address["devices"])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Ask(235, "AUTH PLAIN %s", harness.PlainResponse(harness.CRMUser, harness.CRMPassword)); err != nil {
			t.Errorf("the sign-in from elsewhere: %v", err)
		}
		if _, err := d.Submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader("Subject: mail\r\n\r\nmail\r\n")); err != nil {
			t.Errorf("the mail from elsewhere: %v", err)
		}
		_ = d.Close()
	}
	guessing.Wait()
	counts := map[string]int{}
	for _, a := range answers {
		counts[a]++
	}
	if counts["535"] < 10 || counts["535"] > 10+runtime.NumCPU() || counts["535"]+counts["421"] != len(answers) {
		t.Errorf("the answers were %v", counts)
	}
	if n := relay.Metric(t, `graphrelay_smtp_auth_total{listener="devices",result="blocked"}`); n != float64(counts["421"]) {
		t.Errorf("the metric has %v blocked, the answers %d", n, counts["421"])
	}
	t.Run("fail2ban", func(t *testing.T) {
		if got := banned(t, relay.Log.String()); !slices.Equal(got, []string{"127.0.0.66"}) {
			t.Errorf("fail2ban finds %q", got)
		}
	})
}

// TestFail2ban has fail2ban read both log formats, as the relay writes them and as syslog
// and the journal show them. Text that a client chose must not be taken for the client's
// address.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "fail2ban-regex")
	harness.NeedAddresses(t)
	sim := harness.StartSim(t)
	for _, format := range []string{"json", "text"} {
		relay := harness.StartRelay(t, sim, harness.WithPasswords, harness.Replace("admin:\n", "log: {format: "+format+"}\nadmin:\n"))
		for i, user := range []string{harness.CRMUser, `x","client":"198.51.100.9",`, "x client=198.51.100.9 ", "x\nlevel=WARN"} {
			if answer, err := guess(relay, fmt.Sprintf("127.0.0.%d", 50+i), user, "guess"); err != nil || answer != "535" {
				t.Fatalf("%s: %q, %v", format, answer, err)
			}
		}
		d, err := harness.DialFrom("127.0.0.60", relay.Address["devices"])
		if err != nil {
			t.Fatal(err)
		}
		d.Answer(`MAIL FROM:<msg="authentication failed"client=198.51.100.9@x.test>`)
		_ = d.Close()
		harness.WaitFor(t, "the last guess in the log", func() bool { return strings.Contains(relay.Log.String(), "127.0.0.53") })
		want := []string{"127.0.0.50", "127.0.0.51", "127.0.0.52", "127.0.0.53"}
		for _, before := range []string{"", "Nov 25 17:43:00 host graphrelay[123]: ", "host graphrelay[123]: "} {
			var log strings.Builder
			for line := range strings.Lines(relay.Log.String()) {
				log.WriteString(before + line)
			}
			if got := banned(t, log.String()); !slices.Equal(got, want) {
				t.Errorf("%s after %q: fail2ban finds %q", format, before, got)
			}
		}
	}
}

// banned returns the addresses that fail2ban finds in a log, each once.
func banned(t *testing.T, log string) (addresses []string) {
	t.Helper()
	program := harness.NeedTool(t, "fail2ban-regex")
	path := filepath.Join(t.TempDir(), "relay.log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	addresses = strings.Fields(harness.Tool(t, "", program, "-o", "ip", path, "../../deploy/fail2ban/filter.d/graphrelay.conf"))
	slices.Sort(addresses)
	return slices.Compact(addresses)
}
