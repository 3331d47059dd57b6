package smtpd

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkAccept measures what the edge itself costs: it accepts messages through pipes,
// into a queue in memory.
func BenchmarkAccept(b *testing.B) {
	line := strings.Repeat("x", 76) + "\r\n"
	for _, size := range []int{1 << 10, 10 << 10, 1 << 20} {
		text := "Subject: x\r\n\r\n" + strings.Repeat(line, size/len(line))
		for verb, body := range map[string]string{
			"DATA": "DATA\r\n" + text + ".\r\n",
			"BDAT": fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text),
		} {
			b.Run(fmt.Sprintf("%s/%dKiB", verb, size>>10), func(b *testing.B) { benchmarkAccept(b, body) })
		}
	}
}

func benchmarkAccept(b *testing.B, body string) {
	cfg := testConfig()
	cfg.Message.Bytes = 8 << 20
	p := newPipes()
	_, queue, _ := serve(b, p, cfg)
	conn := p.dial()
	r := bufio.NewReader(conn)
	say := func(text string, replies int) {
		go func() { _, _ = io.WriteString(conn, text) }()
		for replies > 0 {
			line, err := r.ReadString('\n')
			if err != nil || line[0] > '3' {
				b.Fatalf("%q, %v", line, err)
			}
			if line[3] == ' ' {
				replies--
			}
		}
	}
	say("EHLO client.test\r\n", 2)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		say("MAIL FROM:<a@contoso.test>\r\n", 1)
		say("RCPT TO:<b@example.test>\r\n", 1)
		if strings.HasPrefix(body, "DATA") {
			say("DATA\r\n", 1)
			say(body[len("DATA\r\n"):], 1)
		} else {
			say(body, 1)
		}
		queue.take()
	}
	_ = conn.Close()
}
