package sqlite

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// BenchmarkSearch measures one page of the log, which has GRAPHRELAY_LOG messages.
func BenchmarkSearch(b *testing.B) {
	messages := 100_000
	if n, err := strconv.Atoi(os.Getenv("GRAPHRELAY_LOG")); err == nil {
		messages = n
	}
	dir := b.TempDir()
	s, err := Open(b.Context(), Options{Dir: dir, Exclusive: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fillLog(b, dir, messages)
	last, err := s.List(b.Context(), queue.Filter{Newest: true, Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	half := last[0].Received.Add(-time.Duration(messages/2) * time.Second)
	for name, f := range map[string]queue.Filter{
		"all":            {},
		"id":             {ID: last[0].ID[:8]},
		"failed":         {States: []queue.State{queue.Failed}},
		"sent":           {States: []queue.State{queue.Sent}},
		"reason":         {Reasons: []reason.Reason{reason.MailboxUnknown}},
		"other reason":   {Reasons: []reason.Reason{reason.TooLarge}},
		"sender":         {From: "app7@"},
		"no sender":      {From: "nobody@"},
		"recipient":      {To: "customer777"},
		"no recipient":   {To: "nobody@"},
		"user":           {User: "user7"},
		"no user":        {User: "nobody"},
		"client":         {Client: "10.1.7."},
		"no client":      {Client: "10.2."},
		"subject":        {Subject: "März"},
		"no subject":     {Subject: "nothing"},
		"text":           {Text: "invoice 1"},
		"no text":        {Text: "nothing"},
		"Message-ID":     {MessageID: "<" + strconv.FormatInt(7*7919, 16) + ".7@app.contoso.com>"},
		"no Message-ID":  {MessageID: "<nothing>"},
		"lane":           {Lane: "contoso/m7@contoso.com"},
		"no lane":        {Lane: "contoso/nobody@contoso.com"},
		"time":           {Since: half, Before: half.Add(time.Hour)},
		"text and time":  {Since: half, Before: half.Add(time.Hour), Text: "nothing"},
		"state and text": {States: []queue.State{queue.Sent, queue.Returned}, Text: "nothing"},
	} {
		b.Run(name, func(b *testing.B) {
			f.Newest, f.Limit = true, 51
			looked := 0
			for b.Loop() {
				found, err := s.Search(b.Context(), f, 60*time.Millisecond)
				if err != nil {
					b.Fatal(err)
				}
				if found.Looked != "" {
					looked++
				}
			}
			b.ReportMetric(float64(looked)/float64(b.N), "unfinished/op")
		})
	}
}

// fillLog adds messages that have ended, one received each second.
func fillLog(b *testing.B, dir string, messages int) {
	b.Helper()
	db := openSQLite(dsn(filepath.Join(dir, DatabaseName), writerPragmas))
	defer db.Close()
	_, err := db.ExecContext(b.Context(), `
		INSERT INTO lane (connection, principal, mailbox)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT 'contoso', '', 'm' || i || '@contoso.com' FROM n`)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	tx, err := db.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	insert, err := tx.PrepareContext(b.Context(), `INSERT INTO message (id, received, arrived, size, sum, body, lane, mail_from, recipients, utf8, dsn,
			header_from, sender, reply_to, signature, subject, message_id, listener, user, client, trace, fallback, state, due, start_tag, document, finished, reason)
		SELECT ?1, ?2, ?2, 12345, 1, 0, (SELECT min(id) FROM lane) + ?3 % 50, 'app' || (?3 % 300) || '@contoso.com',
			'["customer' || ?3 || '@example.com","archive@contoso.com"]', 0, '', 'app' || (?3 % 300) || '@contoso.com', '', '', '',
			CASE ?3 % 20 WHEN 0 THEN 'Rechnung Nr. ' || ?3 || ' für Ihre Bestellung vom März' ELSE 'Your invoice ' || ?3 || ' of the month' END,
			printf('<%x.%d@app.contoso.com>', ?3 * 7919, ?3), 'lan', 'user' || (?3 % 40), '10.1.' || (?3 % 200) || '.' || (?3 % 250), 180, '',
			CASE ?3 % 1000 WHEN 0 THEN 'failed' ELSE 'sent' END, ?2, ?3,
			'{"path":"draft","draft_wanted":true,"draft_id":"' || hex(zeroblob(76)) || '","send":"accepted"}', ?2,
			CASE ?3 % 1000 WHEN 0 THEN 'mailbox_unknown' ELSE '' END`)
	if err != nil {
		b.Fatal(err)
	}
	for i := range messages {
		at := began.Add(time.Duration(i)*time.Second + time.Duration(i%997)*time.Microsecond)
		if _, err := insert.ExecContext(b.Context(), queue.NewID(at), micros(at), i); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
