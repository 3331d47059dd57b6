package inprocess

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/devices"
	"graphrelay/relay/queue"
)

// office is a relay with a listener behind a load balancer, so that tests choose their
// addresses, and one without.
type office struct {
	*testing.T
	*Running
	log testlog.Buffer
}

const (
	direct = "127.0.0.2:0"
)

func newOffice(t *testing.T) *office {
	t.Helper()
	_, graph := Simulate(t, simulator.Options{})
	cfg := Settings(t, t.TempDir(), graph, fmt.Sprintf(`, {name: office, address: %q, auth: none, networks: [10.0.0.0/24], deny_networks: [10.0.1.66], allow_devices: true, proxy_networks: [127.0.0.1]},
  {name: direct, address: %q, auth: none, networks: [10.0.0.0/24], allow_devices: true}`, "127.0.0.3:0", direct))
	o := &office{T: t}
	o.Running = Run(t, cfg, &o.log)
	return o
}

// say sends lines, after a prelude, and returns the answers, one for each line and the greeting.
func (o *office) say(address, prelude string, lines ...string) (answers []string) {
	o.Helper()
	c, err := net.Dial("tcp", o.Address(address))
	if err != nil {
		o.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, prelude)
	r := bufio.NewReader(c)
	answer := func() bool {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				answers = append(answers, "closed")
				return false
			}
			if line[3] == ' ' {
				answers = append(answers, strings.TrimSpace(line))
				return true
			}
		}
	}
	for i := -1; i < len(lines); i++ {
		if i >= 0 {
			_, _ = io.WriteString(c, lines[i]+"\r\n")
		}
		if !answer() {
			return answers
		}
	}
	return answers
}

func proxy(client string) string {
	if strings.Contains(client, ":") {
		return "PROXY TCP6 " + client + " 2001:db8::25 40000 25\r\n"
	}
	return "PROXY TCP4 " + client + " 192.0.2.25 40000 25\r\n"
}

// mail sends a message as from and author, and returns the last answer.
func (o *office) mail(prelude, from, author string) string {
	o.Helper()
	answers := o.say("127.0.0.3:0", prelude, "EHLO printer.test", "MAIL FROM:<"+from+">", "RCPT TO:<b@example.test>", "DATA", "From: "+author+"\r\nSubject: scan\r\n\r\nx\r\n.")
	for _, a := range answers { // the first that is not good
		if a[0] > '3' {
			return a
		}
	}
	return answers[len(answers)-1]
}

func (o *office) want(what, answer, prefix string) {
	o.Helper()
	if !strings.HasPrefix(answer, prefix) {
		o.Errorf("%s: got %q, want %s", what, answer, prefix)
	}
}

func (o *office) allow(address string, senders ...string) {
	o.Helper()
	r := devices.Request{Listener: "office", Address: netip.MustParseAddr(address)}
	for _, s := range senders {
		p, err := config.ParsePattern(s)
		if err != nil {
			o.Fatal(err)
		}
		r.Senders = append(r.Senders, p)
	}
	if _, err := o.AllowDevice(o.Context(), "anna", r); err != nil {
		o.Fatal(err)
	}
}

func (o *office) learn(network string) {
	o.Helper()
	if _, err := o.OpenWindow(o.Context(), "anna", devices.Opening{Listener: "office", Network: netip.MustParsePrefix(network), Domain: "contoso.test", Length: time.Hour}); err != nil {
		o.Fatal(err)
	}
}

func (o *office) listed() (list []string) {
	all, _ := o.Devices()
	for _, d := range all {
		list = append(list, fmt.Sprint(d.Address, d.Senders))
	}
	return list
}

const scanner = "scanner@contoso.test"

// TestAllowedDevice sends as a device that an operator has allowed, and as what it is not.
func TestAllowedDevice(t *testing.T) {
	o := newOffice(t)
	o.want("not allowed yet", o.mail(proxy("10.0.1.5"), scanner, scanner), "554 5.7.1")
	o.allow("10.0.1.5", scanner)
	o.want("allowed", o.mail(proxy("10.0.1.5"), scanner, scanner), "250 2.0.0 queued")
	o.want("null reverse-path", o.mail(proxy("10.0.1.5"), "", scanner), "250 2.0.0 queued")
	o.want("another envelope", o.mail(proxy("10.0.1.5"), "boss@contoso.test", scanner), "550 5.7.1 This device")
	o.want("another author", o.mail(proxy("10.0.1.5"), scanner, "boss@contoso.test"), "550 5.7.1 This device")
	o.want("another author behind a null reverse-path", o.mail(proxy("10.0.1.5"), "", "boss@contoso.test"), "550 5.7.1 This device")
	o.want("two authors", o.mail(proxy("10.0.1.5"), scanner, scanner+"\r\nFrom: boss@contoso.test"), "550 5.6.0")
	o.want("no author at all", o.mail(proxy("10.0.1.5"), "", "undisclosed"), "550 5.7.1")
	o.want("another address", o.mail(proxy("10.0.1.6"), scanner, scanner), "554 5.7.1")
	o.want("IPv4 in IPv6", o.mail(proxy("::ffff:10.0.1.5"), scanner, scanner), "250 2.0.0 queued")
	o.want("IPv4 in IPv6 of another", o.mail(proxy("::ffff:10.0.1.6"), scanner, scanner), "554 5.7.1")
	for _, spoof := range []string{"PROXY UNKNOWN\r\n", "PROXY TCP4 10.0.1.5 192.0.2.25 40000\r\n", ""} {
		if got := o.mail(spoof, scanner, scanner); strings.HasPrefix(got, "2") {
			t.Errorf("%q: %s", spoof, got)
		}
	}
	if _, err := o.BlockDevice(t.Context(), "otto", devices.Request{Listener: "office", Address: netip.MustParseAddr("10.0.1.5")}); err != nil {
		t.Fatal(err)
	}
	o.want("blocked", o.mail(proxy("10.0.1.5"), scanner, scanner), "554 5.7.1")
	audits, err := o.Store.Audits(t.Context(), 10)
	if err != nil || len(audits) != 2 || audits[0].Action != "allow device" || audits[0].By != "anna" || audits[1].Action != "block device" {
		t.Errorf("audits %+v, %v", audits, err)
	}
}

// TestSpoofedAddress tries to be an allowed device on a listener without a load balancer: by a
// PROXY header and by XCLIENT.
func TestSpoofedAddress(t *testing.T) {
	o := newOffice(t)
	o.allow("10.0.1.5", scanner)
	for _, header := range []string{proxy("10.0.1.5"), proxy("10.0.0.5"), proxyV2("10.0.0.5")} {
		answers := o.say(direct, header, "EHLO printer.test", "MAIL FROM:<"+scanner+">")
		o.want(fmt.Sprintf("%q", header), answers[0], "554 5.7.1")
		if len(answers) > 1 && answers[1] != "closed" {
			t.Errorf("after a refusal: %q", answers)
		}
	}
	o.learn("192.168.7.0/24")
	answers := o.say("127.0.0.3:0", proxy("192.168.7.9"), "XCLIENT ADDR=10.0.0.5 NAME=x", "EHLO printer.test", "XCLIENT ADDR=10.0.0.5", "XFORWARD ADDR=10.0.0.5",
		"MAIL FROM:<a@fabrikam.test>", "MAIL FROM:<boss@contoso.test>", "QUIT")
	for i, prefix := range []string{"220", "50", "250", "50", "50", "550 5.7.1 Only senders of contoso.test", "250", "221"} {
		o.want(fmt.Sprintf("answer %d", i), answers[i], prefix)
	}
	if got := o.listed(); len(got) != 1 {
		t.Errorf("listed: %q", got)
	}
}

func proxyV2(client string) string {
	a := netip.MustParseAddr(client).As4()
	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), a[:]...)
	header = append(header, 192, 0, 2, 25)
	header = binary.BigEndian.AppendUint16(header, 40000)
	return string(binary.BigEndian.AppendUint16(header, 25))
}

// TestLearningWindow has devices of a new office be learnt, and others not.
func TestLearningWindow(t *testing.T) {
	o := newOffice(t)
	o.learn("10.0.1.0/24")
	for _, no := range []struct{ what, prelude, from, author, answer string }{
		{"outside of the network", proxy("10.0.2.5"), scanner, scanner, "554 5.7.1"},
		{"denied by the configuration", proxy("10.0.1.66"), scanner, scanner, "554 5.7.1 Your address is denied"},
		{"another domain", proxy("10.0.1.5"), "a@fabrikam.test", "a@fabrikam.test", "550 5.7.1 Only senders"},
		{"another domain in From", proxy("10.0.1.5"), scanner, "a@fabrikam.test", "550 5.7.1 Only senders"},
		{"a sender that is a pattern", proxy("10.0.1.5"), "*@contoso.test", "*@contoso.test", "550 5.7.1"},
		{"a mail loop", proxy("10.0.1.5"), scanner, scanner + strings.Repeat("\r\nReceived: x", 51), "554 5.4.6"},
		{"the load balancer itself", "PROXY UNKNOWN\r\n", scanner, scanner, "554 5.7.1"},
		{"this machine, behind the load balancer", proxy("127.0.0.1"), scanner, scanner, "554 5.7.1"},
	} {
		o.want(no.what, o.mail(no.prelude, no.from, no.author), no.answer)
	}
	// Nothing is learnt from a session that does not end with an accepted message.
	o.say("127.0.0.3:0", proxy("10.0.1.5"), "EHLO printer.test", "MAIL FROM:<"+scanner+">", "RCPT TO:<b@example.test>", "RSET", "AUTH PLAIN AGNybQBzZWNyZXQ=", "QUIT")
	if got := o.listed(); len(got) != 0 {
		t.Fatalf("learnt without an acceptable message: %q", got)
	}
	o.want("acceptable", o.mail(proxy("10.0.1.5"), scanner, scanner), "250 2.0.0 queued")
	o.want("another one by IPv4 in IPv6", o.mail(proxy("::ffff:10.0.1.6"), "fax@contoso.test", "fax@contoso.test"), "250 2.0.0 queued")
	if err := o.Reload(o.Config); err != nil { // the window goes on
		t.Fatal(err)
	}
	o.want("after a reload", o.mail(proxy("10.0.1.7"), scanner, scanner), "250 2.0.0 queued")
	if got := fmt.Sprint(o.listed()); got != "[10.0.1.5 [scanner@contoso.test] 10.0.1.6 [fax@contoso.test] 10.0.1.7 [scanner@contoso.test]]" {
		t.Errorf("learnt %s", got)
	}
	if err := o.CloseWindow(t.Context(), "anna", "office"); err != nil {
		t.Fatal(err)
	}
	o.want("learnt", o.mail(proxy("10.0.1.5"), scanner, scanner), "250 2.0.0 queued")
	o.want("learnt, as another", o.mail(proxy("10.0.1.5"), "boss@contoso.test", "boss@contoso.test"), "550 5.7.1 This device")
	o.want("after the window", o.mail(proxy("10.0.1.8"), scanner, scanner), "554 5.7.1")
	for _, line := range []string{"learning window opened", "device learnt", "learning window ended"} {
		if !strings.Contains(o.log.String(), line) {
			t.Errorf("the log does not have %q", line)
		}
	}
	o.learn("10.0.1.0/24")
	if err := o.Stop(); err != nil {
		t.Fatal(err)
	}
	again := &office{T: t}
	again.Running = Run(t, o.Config, &again.log)
	if _, windows := again.Devices(); len(windows) != 0 {
		t.Errorf("a window outlives the process: %+v", windows)
	}
	again.want("a device after a restart", again.mail(proxy("10.0.1.5"), scanner, scanner), "250 2.0.0 queued")
	again.want("a new device after a restart", again.mail(proxy("10.0.1.9"), scanner, scanner), "554 5.7.1")
	again.Config.Listeners[1].AllowDevices = false
	if err := again.Reload(again.Config); err != nil {
		t.Fatal(err)
	}
	again.want("a device where the list no longer counts", again.mail(proxy("10.0.1.5"), scanner, scanner), "554 5.7.1")
}

// TestDeviceThatIsRemoved removes and blocks devices within their sessions.
func TestDeviceThatIsRemoved(t *testing.T) {
	o := newOffice(t)
	o.allow("10.0.1.5", scanner)
	c, err := net.Dial("tcp", o.Address("127.0.0.3:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, proxy("10.0.1.5")+"EHLO x\r\nMAIL FROM:<"+scanner+">\r\nRSET\r\n")
	r := bufio.NewReader(c)
	for line := ""; !strings.HasPrefix(line, "250 2.0.0 Session reset"); {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.RemoveDevice(t.Context(), "otto", "office", netip.MustParseAddr("10.0.1.5")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "MAIL FROM:<"+scanner+">\r\n")
	line, err := r.ReadString('\n')
	o.want("removed within the session", line, "550 5.7.1 Your address is no longer allowed")
	if err != nil {
		t.Fatal(err)
	}
}

// TestSharedAddress has an office behind one public address: the second of its devices is learnt
// with its own sender, and a computer there cannot send as another.
func TestSharedAddress(t *testing.T) {
	o := newOffice(t)
	if _, err := o.OpenWindow(t.Context(), "anna", devices.Opening{Listener: "office", Network: netip.MustParsePrefix("198.51.0.0/16"), Domain: "contoso.test", Length: time.Hour}); err == nil {
		t.Error("a window for the addresses of strangers was opened")
	}
	o.learn("198.51.100.7/32")
	o.want("first", o.mail(proxy("198.51.100.7"), scanner, scanner), "250")
	o.want("second", o.mail(proxy("198.51.100.7"), "fax@contoso.test", "fax@contoso.test"), "250")
	o.want("beside it", o.mail(proxy("198.51.100.8"), scanner, scanner), "554")
	_ = o.CloseWindow(t.Context(), "anna", "office")
	o.want("another sender behind that address", o.mail(proxy("198.51.100.7"), "boss@contoso.test", "boss@contoso.test"), "550 5.7.1")
	if got := fmt.Sprint(o.listed()); got != "[198.51.100.7 [scanner@contoso.test fax@contoso.test]]" {
		t.Errorf("learnt %s", got)
	}
}

// TestManyNewDevices has many devices be learnt at the same time.
func TestManyNewDevices(t *testing.T) {
	o := newOffice(t)
	o.learn("10.0.0.0/8")
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := range 30 {
				o.mail(proxy(fmt.Sprintf("10.3.%d.%d", part, i+1)), scanner, scanner)
			}
		})
	}
	wg.Wait()
	if n := len(o.listed()); n != 200 {
		t.Errorf("%d devices were learnt", n)
	}
	var full queue.Filter
	if n, err := o.Store.Count(t.Context(), full); err != nil || n < 200 || n > 208 { // those that came at the same time as the last one
		t.Errorf("%d messages were accepted: %v", n, err)
	}
	if _, err := o.AllowDevice(t.Context(), "anna", devices.Request{Listener: "office", Address: netip.MustParseAddr("10.4.0.1")}); err == nil || errors.Is(err, devices.ErrNotListed) {
		t.Errorf("a device without senders: %v", err)
	}
}
