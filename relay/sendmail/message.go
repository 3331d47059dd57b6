package sendmail

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
)

const (
	maxMemory  = 1 << 20   // bytes of a message that are kept in memory
	maxMessage = 256 << 20 // bytes; no relay takes so much
	maxHeader  = 8 << 20   // bytes
)

// message is a message as it came from standard input. It is read to its end before the relay is
// asked for anything: what a job prints may take hours.
type message struct {
	memory bytes.Buffer
	file   *os.File // what does not fit into memory; nil: all does
	size   int64

	head []byte // the header to send; nil before complete
	body int64  // where the body begins
}

// readMessage reads until the end of r, or with dots until a line with a dot alone.
func readMessage(r io.Reader, dots bool) (_ *message, err error) {
	m := &message{}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	in := bufio.NewReaderSize(r, 64<<10)
	for start := true; ; {
		line, err := in.ReadSlice('\n')
		if dots && start && (string(line) == ".\n" || string(line) == ".\r\n" || string(line) == "." && err == io.EOF) {
			return m, nil
		}
		if err := m.add(line); err != nil {
			return nil, err
		}
		start = err == nil
		if err == io.EOF {
			return m, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, failf(IOErr, "the message cannot be read from standard input: %w", err)
		}
	}
}

func (m *message) add(p []byte) (err error) {
	if m.size += int64(len(p)); m.size > maxMessage {
		return failf(DataErr, "the message is larger than %d MB", maxMessage>>20)
	}
	if m.file == nil && m.memory.Len()+len(p) <= maxMemory {
		m.memory.Write(p)
		return nil
	}
	if m.file == nil {
		if m.file, err = os.CreateTemp("", "graphrelay-sendmail-"); err != nil {
			return failf(CantCreat, "the message needs a temporary file: %w", err)
		}
		_ = os.Remove(m.file.Name()) // where that works, nothing can be left behind
		p = slices.Concat(m.memory.Bytes(), p)
		m.memory = bytes.Buffer{}
	}
	if _, err := m.file.Write(p); err != nil {
		return failf(CantCreat, "the message does not fit into a temporary file: %w", err)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (m *message) ReadAt(p []byte, off int64) (int, error) {
	if m.file != nil {
		return m.file.ReadAt(p, off)
	}
	return bytes.NewReader(m.memory.Bytes()).ReadAt(p, off)
}

func (m *message) close() {
	if m.file != nil {
		_ = m.file.Close()
		_ = os.Remove(m.file.Name())
	}
}

// limits let nothing of a header be left out.
var limits = func() mime.Limits {
	l := mime.DefaultLimits()
	l.HeaderBytes, l.ValueBytes, l.HeaderFields = maxHeader, maxHeader, maxHeader
	return l
}()

// header returns the header as it is sent, before it is completed.
func (m *message) header() (*mime.Header, error) {
	head, _, err := mime.EditHeader(m, m.size, limits, nil)
	if err != nil {
		return nil, headerFault(err)
	}
	return mime.ReadHeader(head, limits), nil
}

func headerFault(err error) error {
	if errors.Is(err, mime.ErrHeaderTooLarge) {
		return failf(DataErr, "the header is too large")
	}
	return failf(IOErr, "the header cannot be read again: %w", err)
}

// recipients returns the addresses of To, Cc and Bcc. Those of a message that is sent again are in
// the first block of Resent- fields (RFC 5322 section 3.6.6), and nobody else gets it.
func (m *message) recipients() (list []string, err error) {
	h, err := m.header()
	if err != nil {
		return nil, err
	}
	fields, prefix := h.Undecoded(), ""
	if from := slices.IndexFunc(fields, isResent); from >= 0 {
		fields, prefix = fields[from:], "resent-"
		if end := slices.IndexFunc(fields, func(f mime.Field) bool { return !isResent(f) }); end >= 0 {
			fields = fields[:end]
		}
	}
	for _, f := range fields {
		switch name, _ := strings.CutPrefix(strings.ToLower(f.Name), prefix); name {
		case "to", "cc", "bcc":
			more, err := mailaddr.List(f.Value)
			if err != nil {
				return nil, failf(DataErr, "%s in the message: %w", f.Name, err)
			}
			list = append(list, more...)
		}
	}
	return list, nil
}

func isResent(f mime.Field) bool { return strings.HasPrefix(strings.ToLower(f.Name), "resent-") }

// complete makes the header that is sent: without Bcc, and with what a message has to have (RFC
// 6409 section 8). Of a message that is sent again, the fields are those of the first time.
func (m *message) complete(author, name string) error {
	h, err := m.header()
	if err != nil {
		return err
	}
	set := []mime.Field{{Name: "Bcc"}, {Name: "Resent-Bcc"}}
	if h.Count("From") == 0 {
		set = append(set, mime.Field{Name: "From", Value: (&mail.Address{Name: name, Address: author}).String()})
	}
	if h.Count("Date") == 0 {
		set = append(set, mime.Field{Name: "Date", Value: time.Now().Format(time.RFC1123Z)})
	}
	if h.MessageID() == "" {
		set = append(set, mime.Field{Name: "Message-ID", Value: messageID(author)})
	}
	m.head, m.body, err = mime.EditHeader(m, m.size, limits, set)
	if err != nil {
		return headerFault(err)
	}
	return nil
}

// messageID returns a new Message-ID in the sender's domain.
func messageID(author string) string {
	_, domain := mailaddr.Split(author)
	if domain == "" || strings.ContainsAny(domain, "[]") {
		domain = "graphrelay.invalid"
	}
	return fmt.Sprintf("<%s@%s>", strings.ToLower(rand.Text()), domain)
}

// content returns the message to send, and its size about.
func (m *message) content() (io.Reader, int64) {
	body := io.NewSectionReader(m, m.body, m.size-m.body)
	return io.MultiReader(bytes.NewReader(m.head), body), int64(len(m.head)) + body.Size()
}
