package queue

import (
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"
)

// Micros returns a time as engines store it, in microseconds of Unix time. The zero Time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros returns the time that an engine has stored.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

// Castagnoli is the polynomial of the checksums of contents: processors have an instruction
// for it, and checking 10 KB takes about 1 us.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal extends the checksum of a message's content to what decides who gets the message and
// as whose it is sent. A database itself does not notice a changed bit within a value.
func Seal(content uint32, fields ...string) int64 {
	text := make([]byte, 0, 256)
	for _, field := range fields {
		text = append(append(text, field...), 0)
	}
	return int64(crc32.Update(content, Castagnoli, text))
}

// Sealed is what a record says of its content.
type Sealed struct {
	Size   int64
	Sum    int64 // of Seal
	Fields []string
}

// Check reads a content of size bytes. It returns ErrDamaged if that, or the envelope in the
// record, is not what was accepted.
func (s Sealed) Check(content io.ReaderAt, size int64) error {
	if size != s.Size {
		return fmt.Errorf("%w: its content has %d bytes instead of %d", ErrDamaged, size, s.Size)
	}
	h := crc32.New(Castagnoli)
	buffer := make([]byte, max(1, min(size, 64<<10)))
	if _, err := io.CopyBuffer(h, io.NewSectionReader(content, 0, size), buffer); err != nil {
		return err
	}
	if Seal(h.Sum32(), s.Fields...) != s.Sum {
		return fmt.Errorf("%w: its content or its envelope is not what was accepted", ErrDamaged)
	}
	return nil
}

// SealedFields returns the fields of a record that its checksum covers. The recipients and DSN
// are as they are stored.
func SealedFields(r Record, recipients, dsn string) []string {
	utf8 := "0"
	if r.Envelope.UTF8 {
		utf8 = "1"
	}
	return []string{r.Envelope.From, recipients, dsn, r.Lane.Connection, r.Lane.Principal, r.Lane.Mailbox,
		r.From, r.Sender, r.ReplyTo, r.Fallback, r.Signature, r.MessageID, utf8, strconv.FormatInt(r.Trace, 10)}
}
