package load

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/test/harness"
)

// mostUnderSiege is the memory that serve may use with 3,000 connections, in KiB.
const mostUnderSiege = 80 << 10

// siege is many slow connections, which never finish a command.
type siege struct {
	open atomic.Int64 // those that the relay has not closed
	stop chan struct{}
	done chan struct{}
}

// besiege opens connections from an address and returns when all are open. Each sends a
// byte at every interval, or nothing if the interval is 0.
func besiege(t *testing.T, from, to string, connections int, interval time.Duration) *siege {
	t.Helper()
	s := &siege{stop: make(chan struct{}), done: make(chan struct{}, connections)}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	for range connections {
		c, err := dialer.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		s.open.Add(1)
		go s.hold(c, interval)
	}
	t.Cleanup(func() {
		close(s.stop)
		for range connections {
			<-s.done
		}
	})
	return s
}

func (s *siege) hold(c net.Conn, interval time.Duration) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 64)
		for {
			if _, err := c.Read(buf); err != nil {
				s.open.Add(-1)
				return
			}
		}
	}()
	var tick <-chan time.Time
	if interval > 0 {
		t := time.NewTicker(interval)
		defer t.Stop()
		tick = t.C
	}
	for over := false; !over; {
		select {
		case <-tick:
			_, _ = c.Write([]byte("N"))
		case <-ended:
			over = true
		case <-s.stop:
			over = true
		}
	}
	_ = c.Close()
	<-ended
	s.done <- struct{}{}
}

// needFiles skips the test unless the process may have n files open.
func needFiles(t *testing.T, n int) {
	t.Helper()
	limits := harness.ReadFile(t, "/proc/self/limits")
	var soft int
	_, after, _ := strings.Cut(limits, "Max open files")
	if _, err := fmt.Sscan(after, &soft); err != nil {
		t.Fatalf("%v in %s", err, limits)
	}
	if soft < n {
		harness.SkipUnlessCI(t, "needs %d open files, and may have %d", n, soft)
	}
}

// TestSiege holds slow connections, 3,000 for 40 seconds with -compare, fewer without.
// Clients at other addresses and at the same one must be able to send meanwhile, whether
// the limits allow all the connections or not, and memory must stay bounded.
func TestSiege(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	connections, length := 600, 8*time.Second // longer than an idle connection is left alone
	if *compare {
		connections, length = 3000, 40*time.Second
	}
	needFiles(t, connections+1000)
	for name, edits := range map[string][]harness.Edit{
		"with room":    {harness.LimitsKey("connections: 5000\n  connections_per_address: 4000")},
		"without room": {harness.LimitsKey("connections: 400\n  connections_per_address: 100")},
	} {
		t.Run(name, func(t *testing.T) {
			relay := harness.ReleasedRelay(t, harness.ReleasedSim(t), edits...)
			relay.Start(t)
			s := besiege(t, "127.0.0.66", relay.Address["devices"], connections, time.Second)
			held := s.open.Load()
			harness.WaitFor(t, "the first mail from there", func() bool { // for some seconds idle connections are left alone
				return sendFrom(relay, "127.0.0.66") == nil
			})
			sent := 0
			for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				for _, from := range []string{"127.0.0.2", "127.0.0.66"} {
					if err := sendFrom(relay, from); err != nil {
						t.Fatalf("from %s: %v", from, err)
					}
					sent++
				}
			}
			peak := harness.PeakMemory(t, relay.Process)
			t.Logf("%d messages sent beside %d slow connections, %d to the end; peak memory of serve: %d KiB", sent, held, s.open.Load(), peak)
			if peak > mostUnderSiege {
				t.Errorf("serve took %d KiB, more than %d", peak, mostUnderSiege)
			}
			if name == "with room" && s.open.Load() < int64(connections) {
				t.Errorf("%d of %d slow connections were held", s.open.Load(), connections)
			}
		})
	}
}

// sendFrom sends one message over a connection of its own.
func sendFrom(r *harness.Relay, from string) error {
	d, err := harness.DialFrom(from, r.Address["devices"])
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = d.Submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader("Subject: mail\r\n\r\nmail\r\n"))
	return err
}

// TestCompareSiege prints the rate of accepts over 64 connections beside 2,000 idle and
// 500 slow ones, as a part of the rate without them.
func TestCompareSiege(t *testing.T) {
	needCompare(t)
	needFiles(t, 4000)
	source := harness.NeedTool(t, "smtp-source")
	relay := harness.ReleasedRelay(t, harness.ReleasedSim(t), harness.LimitsKey("connections: 5000\n  connections_per_address: 4000"))
	relay.Start(t)
	relay.PauseAll(t)
	c := &contestant{name: "graphrelay", address: relay.Address["devices"], rest: func(*testing.T) {}}
	l := load{64, 6000, false}
	c.measure(t, source, l) // fills caches
	var alone, besieged []float64
	for range *rounds {
		alone = append(alone, c.measure(t, source, l))
		t.Run("siege", func(t *testing.T) {
			idle := besiege(t, "127.0.0.66", c.address, 2000, 0)
			slow := besiege(t, "127.0.0.67", c.address, 500, time.Second)
			besieged = append(besieged, c.measure(t, source, l))
			if n := idle.open.Load() + slow.open.Load(); n != 2500 {
				t.Errorf("%d connections were held, want 2500", n)
			}
		})
	}
	t.Logf("64 connections: alone %.0f a second; beside 2,000 idle and 500 slow ones %s of that", median(alone), ratios(besieged, alone))
	t.Logf("peak memory of serve: %d KiB", harness.PeakMemory(t, relay.Process))
}

// TestCompareSignIns prints the rate of accepts when each message has a connection and a
// sign-in of its own, as a part of the rate without sign-in.
func TestCompareSignIns(t *testing.T) {
	needCompare(t)
	relay := harness.ReleasedRelay(t, harness.ReleasedSim(t), harness.WithPasswords)
	relay.Start(t)
	relay.PauseAll(t)
	measure := func(signIn bool) float64 {
		o := &harness.Outbox{Connections: 16, Messages: 1000, Make: harness.TenKilobytes("sign-in"), Fresh: true}
		o.Dial = func() (*harness.Dialog, error) {
			d, err := harness.DialAddress(relay.Address["devices"], false)
			if err == nil && signIn {
				_, err = d.Ask(235, "AUTH PLAIN %s", harness.PlainResponse(harness.CRMUser, harness.CRMPassword))
			}
			return d, err
		}
		start := time.Now()
		o.Await(t, o.Start())
		took := time.Since(start)
		if n := o.AcceptedCount(); n != o.Messages {
			t.Fatalf("%d of %d messages were taken", n, o.Messages)
		}
		return float64(o.Messages) / took.Seconds()
	}
	measure(true) // fills caches
	var without, with []float64
	for range *rounds {
		without, with = append(without, measure(false)), append(with, measure(true))
	}
	t.Logf("a connection for each message: without a password %.0f a second; with one %s of that", median(without), ratios(with, without))
	if n := relay.Metric(t, fmt.Sprintf("graphrelay_smtp_auth_total{listener=%q,result=\"ok\"}", "devices")); n < float64(*rounds*1000) {
		t.Errorf("%v sign-ins", n)
	}
}
