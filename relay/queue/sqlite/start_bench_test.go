package sqlite

import (
	"fmt"
	"testing"
)

// BenchmarkStart measures the start after the end of an earlier process, with so many messages
// waiting in fifty lanes.
func BenchmarkStart(b *testing.B) {
	for _, waiting := range []int{100, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, Options{Dir: dir, Exclusive: true})
			waitingMessages(b, s, waiting)
			for b.Loop() {
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				s = open(b, Options{Dir: dir, Exclusive: true})
			}
		})
	}
}

// waitingMessages adds records of messages without content.
func waitingMessages(b *testing.B, s opened, n int) {
	b.Helper()
	for _, statement := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
			INSERT INTO lane (connection, principal, mailbox) SELECT 'contoso', '', i || '@contoso.test' FROM n WHERE 0 < ?`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO message (id, received, arrived, size, sum, body, lane, mail_from, recipients, utf8, dsn, header_from, sender, reply_to,
				signature, subject, message_id, listener, user, client, trace, state, due, start_tag)
			SELECT printf('%016d', i * 7919), i, 1000 + i, 10000, 0, 0, 1 + i % 50, 'scanner@contoso.test', '[{"address":"anna@example.test"}]', 0, '',
				'scanner@contoso.test', '', '', '', 'A scanned document of three pages', 'CAA' || i || '@mail.contoso.test', 'smtp', 'scanner', '192.0.2.17',
				0, 'queued', 1, i FROM n`,
	} {
		if err := s.storage.writer.conn.run(statement, n); err != nil {
			b.Fatal(err)
		}
	}
}
