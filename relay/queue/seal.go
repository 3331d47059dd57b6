package queue

import (
	"hash/crc32"
	"strconv"
)

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
