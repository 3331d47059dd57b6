package console

import (
	"bufio"
	"encoding/json"
	"flag"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"graphrelay/test/harness"
)

var shots = flag.String("operate-shots", "", "folder for pictures of the pages that the tests operate")

// operate has a browser do steps in the console of a relay; see operate.js.
func operate(t *testing.T, r *harness.Relay, steps ...[]string) {
	t.Helper()
	operateAs(t, r, r.Session(t), steps...)
}

// operateAs does that in a session.
func operateAs(t *testing.T, r *harness.Relay, session string, steps ...[]string) {
	t.Helper()
	node, chromium, script := browser(t, "operate.js")
	args := []string{script, "--cookie=" + session}
	if *shots != "" {
		args = append(args, "--shots="+*shots)
	}
	args = append(args, chromium, "http://"+r.Address["admin"])
	for _, s := range steps {
		step, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, string(step))
	}
	var faults []string
	if out := harness.Tool(t, "", node, args...); json.Unmarshal([]byte(out), &faults) != nil {
		t.Fatal(out)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

// say sends lines to the listener devices as a client of a load balancer, and returns the last answer.
func say(t *testing.T, r *harness.Relay, client string, lines ...string) (last string) {
	t.Helper()
	c, err := net.Dial("tcp", r.Address["devices"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, "PROXY TCP4 "+client+" 192.0.2.25 40000 25\r\n")
	in := bufio.NewReader(c)
	for i := -1; i < len(lines); i++ {
		if i >= 0 {
			_, _ = io.WriteString(c, lines[i]+"\r\n")
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return last
			}
			if last = line; line[3] == ' ' {
				break
			}
		}
	}
	return last
}

// hostile is what a client calls itself and its sender. A domain cannot have more of it.
const hostile = `"><img/src=x/onerror=alert(1)>`

// TestOperateListeners looks at refusals with hostile texts, allows a refused device, blocks and
// removes it, and opens and closes a learning window.
func TestOperateListeners(t *testing.T) {
	t.Parallel()
	r := harness.StartRelay(t, harness.StartSim(t),
		harness.Replace("networks: [127.0.0.0/8]", "networks: [10.0.0.0/24]\n    proxy_networks: [127.0.0.1]\n    allow_devices: true"))
	for range 3 {
		say(t, r, "192.168.7.20")
		say(t, r, "10.0.0.5", "EHLO "+hostile, "MAIL FROM:<x@stranger.test>", `MAIL FROM:<"<img/src=x/onerror=alert(2)>"@stranger.test>`,
			"MAIL FROM:<scanner@contoso.test>", "RCPT TO:<anna@localhost>")
	}
	c, err := net.Dial("tcp", r.Address["devices"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "PROXY TCP4 10.0.0.7 192.0.2.25 40000 25\r\nEHLO "+hostile+"\r\n")
	message := []string{"EHLO scanner", "MAIL FROM:<scanner@contoso.test>", "RCPT TO:<anna@example.test>", "DATA", "From: scanner@contoso.test\r\nSubject: x\r\n\r\nx\r\n."}
	operate(t, r,
		[]string{"open", "/console/listeners"}, []string{"see", "192.168.7.20"}, []string{"see", "No mailbox sends for"}, []string{"see", "onerror"}, []string{"shot", "listeners"},
		[]string{"click", "link", "Allow…"}, []string{"shot", "allow"},
		[]string{"fill", "Senders", "scanner@contoso.test"}, []string{"fill", "Why", hostile}, []string{"click", "button", "Allow it"},
		[]string{"see", "192.168.7.20 may send through the listener devices now."}, []string{"see", "scanner@contoso.test"},
		[]string{"click", "link", "Open a learning window"}, []string{"shot", "learn"},
		[]string{"fill", "Network of the devices", "0.0.0.0/0"}, []string{"fill", "Domain of their senders", "contoso.test"}, []string{"click", "button", "Open it"},
		[]string{"see", "0.0.0.0/0 is too wide"},
		[]string{"click", "link", "Open a learning window"}, []string{"fill", "Minutes", "30"},
		[]string{"fill", "Network of the devices", "192.168.8.0/24"}, []string{"fill", "Domain of their senders", "contoso.test"}, []string{"click", "button", "Open it"},
		[]string{"see", "Learning window:"}, []string{"see", "in 29 min"}, []string{"shot", "window"},
	)
	if got := say(t, r, "192.168.7.20", message...); !strings.HasPrefix(got, "250 2.0.0 queued") {
		t.Errorf("the allowed device: %s", got)
	}
	if got := say(t, r, "192.168.8.5", message...); !strings.HasPrefix(got, "250 2.0.0 queued") {
		t.Errorf("a device of the new office: %s", got)
	}
	operate(t, r,
		[]string{"open", "/console/listeners"}, []string{"see", "192.168.8.5"}, []string{"see", "1 device was learnt"}, []string{"shot", "devices"},
		[]string{"click", "button", "Close it now"}, []string{"see", "The learning window is closed."}, []string{"gone", "Learning window:"},
		[]string{"click", "button", "Block 192.168.8.5"}, []string{"see", "192.168.8.5 is blocked"},
		[]string{"click", "button", "Remove 192.168.7.20"}, []string{"see", "192.168.7.20 is no longer in the list"}, []string{"gone", "may send through"},
		[]string{"open", "/console/audit"}, []string{"see", "open learning window"}, []string{"see", "learn device"},
	)
	for _, client := range []string{"192.168.7.20", "192.168.8.5"} {
		if got := say(t, r, client, message...); !strings.HasPrefix(got, "554") {
			t.Errorf("%s after that: %s", client, got)
		}
	}
}

// TestOperateConnections resumes, checks and probes a connection.
func TestOperateConnections(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	r := harness.StartRelay(t, sim)
	harness.Command(t, "", "queue", "pause", "contoso", "--config", r.Config)
	operate(t, r,
		[]string{"open", "/console/connections"}, []string{"see", "No mail of this connection is sent"}, []string{"shot", "connections-paused"},
		[]string{"click", "button", "Resume contoso"}, []string{"see", "1 pause of the connection contoso ended"}, []string{"gone", "No mail of this connection"},
		[]string{"click", "button", "Check contoso"}, []string{"see", "is being checked"}, []string{"see", "Microsoft has issued a token"}, []string{"see", "Mail.Send"}, []string{"shot", "connections"},
		[]string{"click", "link", "Probe…"}, []string{"shot", "probe"},
		[]string{"fill", "Mailbox of the connection contoso", "scanner@contoso.test"}, []string{"click", "button", "Start the probe"}, []string{"see", "is being probed"},
		[]string{"see", "of 20"}, []string{"see", "sign-in: expected a token"}, []string{"shot", "connections-probe"}, []string{"click", "button", "Stop"}, []string{"see", "stopped"},
	)
}
