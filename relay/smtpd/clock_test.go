package smtpd

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// drip is a client that sends slowly: a piece, then a pause, again and again.
type drip struct {
	first string // sent at once, before
	piece string
	pause time.Duration
	times int
}

// TestPace has clients that are slow in different ways, in simulated time.
func TestPace(t *testing.T) {
	line := strings.Repeat("x", 998) + "\r\n"
	quick := strings.Repeat(line, 200)
	tests := map[string]struct {
		rate int64
		drip drip
		cut  time.Duration // 0: the message is taken
	}{
		"a byte at a time":                 {500, drip{"", "x", 4 * time.Second, 300}, 5 * time.Minute},
		"a byte at a time, after much":     {500, drip{quick, "x", 4 * time.Second, 300}, 5 * time.Minute},
		"a byte at a time, with no rate":   {0, drip{"", "x", 4 * time.Second, 300}, 0},
		"a little too slow":                {500, drip{"", line, 2100 * time.Millisecond, 10000}, 30 * time.Minute},
		"much too slow":                    {500, drip{"", line, 4 * time.Second, 10000}, 10 * time.Minute},
		"slow and steady":                  {500, drip{"", line, 500 * time.Millisecond, 3000}, 0},
		"long pauses":                      {500, drip{"", quick, 299 * time.Second, 5}, 0},
		"too long a pause":                 {500, drip{"", quick, 301 * time.Second, 5}, 5 * time.Minute},
		"steady for too long":              {500, drip{"", line, time.Second, 10000}, 30 * time.Minute},
		"long pauses, past the whole time": {500, drip{"", quick, 299 * time.Second, 7}, 30 * time.Minute},
	}
	for name, tt := range tests {
		for _, verb := range []string{"DATA", "BDAT"} {
			t.Run(name+"/"+verb, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testConfig()
					cfg.Timeout, cfg.Message.Time, cfg.Message.MinRate, cfg.Message.Bytes = 5*time.Minute, 30*time.Minute, tt.rate, 100<<20
					replies, took, messages := tt.drip.run(t, cfg, verb)
					switch {
					case tt.cut == 0 && messages != 1:
						t.Errorf("took %d messages after %v: %s", messages, took, replies)
					case tt.cut != 0 && (messages != 0 || !strings.Contains(replies, "451 4.4.2 The connection broke, or was silent or too slow")):
						t.Errorf("took %d messages: %s", messages, replies)
					case tt.cut != 0 && took.Round(10*time.Second) != tt.cut:
						t.Errorf("cut after %v, want %v", took, tt.cut)
					}
				})
			})
		}
	}
}

func (d drip) run(t *testing.T, cfg Config, verb string) (replies string, took time.Duration, messages int) {
	p := newPipes()
	_, queue, _ := serve(t, p, cfg)
	ours := p.dial()
	var all []byte
	var reading sync.WaitGroup
	began := time.Now()
	reading.Go(func() {
		all, _ = io.ReadAll(ours)
		took = time.Since(began)
	})
	const begin, end = "Subject: slow\r\n\r\n", "\r\n.\r\nQUIT\r\n"
	command, size := "DATA\r\n", len(begin+d.first)+len(d.piece)*d.times+len("\r\n.\r\n")
	if verb == "BDAT" {
		command = fmt.Sprintf("BDAT %d LAST\r\n", size)
	}
	send := func(text string) (ended bool) {
		_, err := io.WriteString(ours, text)
		return err != nil
	}
	ended := send(toData + command + begin + d.first)
	for n := 0; n < d.times && !ended; n++ {
		time.Sleep(d.pause)
		ended = send(d.piece)
	}
	if !ended {
		send(end)
	}
	reading.Wait()
	_ = ours.Close()
	return string(all), took, len(queue.takeTexts())
}

// A command must be complete in the time in which it must begin.
func TestSlowCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Timeout, cfg.Session.Time = 5*time.Minute, time.Hour
		p := newPipes()
		serve(t, p, cfg)
		ours := p.dial()
		var sending sync.WaitGroup
		sending.Go(func() {
			for _, err := io.WriteString(ours, "EHLO "); err == nil; _, err = io.WriteString(ours, "x") {
				time.Sleep(time.Minute)
			}
		})
		began := time.Now()
		replies, err := io.ReadAll(ours)
		if took := time.Since(began); err != nil || took != cfg.Timeout || !strings.HasSuffix(string(replies), "421 4.4.2 Idle timeout, bye bye\r\n") {
			t.Errorf("after %v: %q, %v", took, replies, err)
		}
		sending.Wait()
		_ = ours.Close()
	})
}
