package sqlite

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"graphrelay/relay/queue"
)

// A damaged message is known for one; the others are whole.
func TestDamagedMessage(t *testing.T) {
	const small, large = 20 << 10, 1 << 20
	bodyOf := func(f func([]byte) []byte) func(*testing.T, opened, string) {
		return func(t *testing.T, s opened, id string) { change(t, s.storage.bodyPath(id), f) }
	}
	sql := func(statement string) func(*testing.T, opened, string) {
		return func(t *testing.T, s opened, id string) {
			if err := s.storage.writer.conn.run(statement, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		size   int
		damage func(t *testing.T, s opened, id string)
		says   string
	}{
		"file missing":        {large, func(t *testing.T, s opened, id string) { removeFile(t, s.storage.bodyPath(id)) }, "missing"},
		"file shorter":        {large, bodyOf(func(b []byte) []byte { return b[:len(b)-1] }), "bytes instead of"},
		"file longer":         {large, bodyOf(func(b []byte) []byte { return append(b, 'x') }), "bytes instead of"},
		"file empty":          {large, bodyOf(func(b []byte) []byte { return nil }), "bytes instead of"},
		"bit in the file":     {large, bodyOf(flip(70)), "not what was accepted"},
		"row missing":         {small, sql("DELETE FROM body WHERE id=?"), "bytes instead of"},
		"row shorter":         {small, sql("UPDATE body SET data=substr(data, 2) WHERE id=?"), "bytes instead of"},
		"byte in the row":     {small, sql("UPDATE body SET data=substr(data, 1, 9999) || x'ff' || substr(data, 10001) WHERE id=?"), "not what was accepted"},
		"another recipient":   {small, sql("UPDATE message SET recipients=replace(recipients, 'b@', 'c@') WHERE id=?"), "not what was accepted"},
		"recipients no JSON":  {small, sql("UPDATE message SET recipients=replace(recipients, '\"', '!') WHERE id=?"), "not what was accepted"},
		"another sender":      {large, sql("UPDATE message SET mail_from='c@x.test' WHERE id=?"), "not what was accepted"},
		"another From":        {small, sql("UPDATE message SET header_from='c@x.test' WHERE id=?"), "not what was accepted"},
		"another Reply-To":    {small, sql("UPDATE message SET reply_to='c@x.test' WHERE id=?"), "not what was accepted"},
		"another Sender":      {small, sql("UPDATE message SET sender='c@x.test' WHERE id=?"), "not what was accepted"},
		"another signature":   {small, sql("UPDATE message SET signature='other' WHERE id=?"), "not what was accepted"},
		"another Message-ID":  {small, sql("UPDATE message SET message_id='<2@x>' WHERE id=?"), "not what was accepted"},
		"more of it is trace": {small, sql("UPDATE message SET trace=trace+1 WHERE id=?"), "not what was accepted"},
		"another lane": {small, func(t *testing.T, s opened, id string) {
			if err := s.storage.writer.conn.run("INSERT INTO lane (id, connection, principal, mailbox, due) VALUES (99, 'c', '', 'c@x.test', 1)"); err != nil {
				t.Fatal(err)
			}
			sql("UPDATE message SET lane=99 WHERE id=?")(t, s, id)
		}, "not what was accepted"},
		"notification no one": {large, sql("UPDATE message SET dsn='{' WHERE id=?"), "not what was accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
			var ids []string
			for range 3 {
				id, err := put(t, s, tt.size)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
			tt.damage(t, s, ids[1])
			tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 3, PerLane: 3})
			if err != nil || len(tasks) != 3 {
				t.Fatalf("claimed %d, %v", len(tasks), err)
			}
			for i, id := range ids {
				err := checkContent(t, s, id)
				if i != 1 && err != nil || i == 1 && (!errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), tt.says)) {
					t.Errorf("message %d: %v", i, err)
				}
			}
		})
	}
}

// checkContent reads it twice.
func checkContent(t *testing.T, s opened, id string) error {
	b, err := s.Open(t.Context(), id)
	if err != nil {
		return err
	}
	defer b.Close()
	content, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil || int64(len(content)) != b.Size() {
		t.Errorf("read %d of %d bytes: %v", len(content), b.Size(), err)
	}
	return errors.Join(b.Check(), b.Check())
}

// change rewrites a file.
func change(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit at so many hundredths of the content.
func flip(hundredths int) func([]byte) []byte {
	return func(b []byte) []byte { b[len(b)*hundredths/100] ^= 4; return b }
}

// Bodies that arrive at the same time, and after one another, share no memory.
func TestBodiesShareNoMemory(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			for round := range 10 {
				text := bytes.Repeat([]byte{byte('a' + n), byte('0' + round)}, 1+500*n)
				w, err := s.Create(t.Context())
				for part := range slices.Chunk(text, 700) {
					if err == nil {
						_, err = w.Write(part)
					}
				}
				if err == nil {
					err = w.Commit(t.Context(), testEntry)
				}
				if err != nil {
					t.Error(err)
					return
				}
				b, err := s.Open(t.Context(), w.ID())
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
				if err != nil || !bytes.Equal(got, text) || b.Check() != nil {
					t.Errorf("message %d of %d has other content: %v, %v", round, n, err, b.Check())
				}
				_ = b.Close()
			}
		})
	}
	wg.Wait()
}
