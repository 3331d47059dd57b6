package operations

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/textproto"
	"strings"

	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// Description is what the stored content of a message shows. All texts come from outside.
type Description struct {
	Received string // the field that the relay has put in front, unfolded: HELO, address, TLS and protocol of the client
	Kind     mime.Kind
	Body     string // "text", "HTML", "text and HTML" or "none": the forms that the message has
	BodySize int    // bytes of the form that is sent, in UTF-8

	From, To, Cc, ReplyTo []mime.Address
	Sender                *mime.Address
	// NotNamed are recipients of the envelope that neither To nor Cc names: they get the message as Bcc.
	// NotSent are addresses in To and Cc that are not in the envelope: they do not get it.
	NotNamed, NotSent []string
	// FromDiffers: the address in From is not the envelope's sender.
	FromDiffers bool

	Fields    int // header fields
	Files     []File
	MoreFiles int         // that Files does not have
	Notes     []mime.Note // what was dropped, mapped, salvaged or exceeded a limit when it was read
}

// File is an attachment.
type File struct {
	Name, Type string
	Inline     bool
	Size       int64
	SHA256     string // hexadecimal; empty: the files together are too large to read them all
}

const (
	maxFiles  = 1000      // that a Description has
	maxHashed = 200 << 20 // bytes of files that are read for their hashes
	maxNotes  = 200
	maxShown  = 200 // addresses of a kind
)

// Describe reads the stored content of a message. It returns ErrNoContent if only the record is
// left, and reads a damaged one as far as it can be read.
func Describe(ctx context.Context, store queue.Inspector, id string, limits mime.Limits) (d Description, err error) {
	r, _, err := store.Get(ctx, id)
	if err != nil {
		return d, err
	}
	if !r.HasContent {
		return d, fmt.Errorf("%w, since it is %s", ErrNoContent, r.State)
	}
	b, err := store.Open(ctx, id)
	if err != nil {
		return d, err
	}
	defer b.Close()
	if d.Received, err = received(b, r.Trace); err != nil {
		return d, err
	}
	m, err := mime.Parse(io.NewSectionReader(b, r.Trace, b.Size()-r.Trace), b.Size()-r.Trace, limits)
	if err != nil {
		return d, err
	}
	d.describe(m, r.Envelope)
	d.Files, d.MoreFiles, err = files(ctx, m.Attachments)
	return d, err
}

// received returns the field of the relay in one line.
func received(b io.ReaderAt, trace int64) (string, error) {
	head := make([]byte, min(trace, 4096))
	if _, err := b.ReadAt(head, 0); err != nil && err != io.EOF {
		return "", err
	}
	_, value, _ := bytes.Cut(head, []byte(":"))
	return strings.Join(strings.Fields(textproto.TrimString(string(value))), " "), nil
}

func (d *Description) describe(m *mime.Message, e queue.Envelope) {
	d.Kind, d.Fields, d.Sender = m.Kind, len(m.Fields), m.Sender
	d.From, d.To, d.Cc, d.ReplyTo = some(m.From), some(m.To), some(m.Cc), some(m.ReplyTo)
	d.BodySize = len(m.Body.Content)
	switch {
	case m.Text != "" && m.HTML != "":
		d.Body = "text and HTML"
	case m.HTML != "":
		d.Body = "HTML"
	case m.Text != "":
		d.Body = "text"
	default:
		d.Body = "none"
	}
	d.FromDiffers = len(m.From) == 0 || !mailaddr.Same(m.From[0].Address, e.From)
	d.Notes = m.Report.Notes[:min(len(m.Report.Notes), maxNotes)]
	named, sent := map[string]bool{}, map[string]bool{}
	for _, a := range append(append([]mime.Address{}, m.To...), m.Cc...) {
		named[mailaddr.Canonical(a.Address)] = true
	}
	for _, a := range e.To {
		sent[mailaddr.Canonical(a)] = true
		if !named[mailaddr.Canonical(a)] {
			d.NotNamed = append(d.NotNamed, a)
		}
	}
	for _, a := range append(append([]mime.Address{}, m.To...), m.Cc...) {
		if key := mailaddr.Canonical(a.Address); !sent[key] && len(d.NotSent) < maxShown {
			sent[key] = true
			d.NotSent = append(d.NotSent, a.Address)
		}
	}
}

func some(list []mime.Address) []mime.Address { return list[:min(len(list), maxShown)] }

// files returns the attachments, with the hashes of as many as may be read.
func files(ctx context.Context, list []*mime.Attachment) (files []File, more int, err error) {
	left := int64(maxHashed)
	for _, a := range list[:min(len(list), maxFiles)] {
		f := File{Name: text.Truncate(a.Name, 500), Type: a.ContentType, Inline: a.Inline, Size: a.Size}
		if left -= a.Size; left >= 0 {
			h := sha256.New()
			if _, err := io.Copy(h, &untilDone{ctx, a.Open()}); err != nil {
				return files, 0, err
			}
			f.SHA256 = hex.EncodeToString(h.Sum(nil))
		}
		files = append(files, f)
	}
	return files, len(list) - len(files), nil
}

// untilDone reads until a context is done.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
