package simulator

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"strings"
	"time"
)

// source is a message in MIME before it is written: its header fields, each with its folded
// lines, and its body as it was given, or what a body is made of. It can be written without
// the simulator's mutex.
type source struct {
	fields []string
	raw    []byte // the body as it was given; nil: made of what follows
	body   Body
	files  []sourceFile
}

type sourceFile struct {
	Attachment
	content []byte // nil if it was not kept
}

// isInline reports whether the file belongs to the HTML text.
func (f sourceFile) isInline() bool { return f.IsInline && f.ContentID != "" }

// storedSource returns an item as its mailbox has it: MIME as it was given, or made of the
// item's properties. That Exchange shows the Bcc field there is assumed. The caller holds s.mu.
func (s *Simulator) storedSource(i *item) source {
	if raw := s.content.kept[mimeID(i)]; len(raw) > 0 {
		head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		return source{fields: fieldsOf(head), raw: append([]byte{}, body...)}
	}
	m := source{fields: composeHeader(i), body: i.Body}
	for _, a := range i.Attachments {
		m.files = append(m.files, sourceFile{a, s.content.kept[a.ID]})
	}
	return m
}

// sentSource returns an item as recipients get it, without its Bcc field: "Things to know about
// how Outlook sends mail". The caller holds s.mu.
func (s *Simulator) sentSource(i *item) source {
	w := s.world()
	m := s.storedSource(i)
	if !w.MIMEKeepsBcc {
		m.fields = without(m.fields, "Bcc")
	}
	if i.From != nil {
		m.fields = append([]string{"From: " + formatAddress(*i.From)}, without(m.fields, "From")...)
	}
	m.fields = append(without(m.fields, "Message-ID"), "Message-ID: "+oneField(i.InternetMessageID))
	for _, name := range w.CopyLoses {
		m.fields = without(m.fields, name)
	}
	return m
}

func mimeID(i *item) string {
	if i.MIME == nil {
		return ""
	}
	return i.MIME.ID
}

// fieldsOf returns the fields of a header, each with its folded lines.
func fieldsOf(head []byte) (fields []string) {
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if n := len(fields); n > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			fields[n-1] += "\r\n" + line
		} else {
			fields = append(fields, line)
		}
	}
	return fields
}

// without returns the fields that do not have a name.
func without(fields []string, name string) (rest []string) {
	for _, f := range fields {
		if has, _, _ := strings.Cut(f, ":"); !strings.EqualFold(has, name) {
			rest = append(rest, f)
		}
	}
	return rest
}

func formatAddress(a Address) string {
	return (&mail.Address{Name: a.Name, Address: a.Address}).String()
}

// composeHeader returns the header that transport makes of an item that was created from JSON.
func composeHeader(i *item) (fields []string) {
	add := func(name, value string) { fields = append(fields, name+": "+value) }
	if i.From != nil {
		add("From", formatAddress(*i.From))
	}
	for _, f := range []struct {
		name string
		list []Address
	}{{"To", i.To}, {"Cc", i.Cc}, {"Bcc", i.Bcc}, {"Reply-To", i.ReplyTo}} {
		var list []string
		for _, a := range f.list {
			list = append(list, formatAddress(a))
		}
		if len(list) > 0 {
			add(f.name, strings.Join(list, ",\r\n "))
		}
	}
	add("Subject", mime.QEncoding.Encode("utf-8", i.Subject))
	add("Date", i.sentOrCreated().UTC().Format(time.RFC1123Z))
	add("Message-ID", oneField(i.InternetMessageID))
	for _, f := range []struct{ property, name string }{{"String 0x1042", "In-Reply-To"}, {"String 0x1039", "References"}, {"String 0x1045", "List-Unsubscribe"}} {
		if v := i.property(f.property); v != "" {
			add(f.name, oneField(v))
		}
	}
	for _, h := range i.Headers {
		add(oneField(h.Name), oneField(h.Value))
	}
	add("MIME-Version", "1.0")
	add("Content-Type", "multipart/mixed; boundary=mixed_")
	return fields
}

// oneField returns a value without line breaks.
func oneField(v string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(v) }

// writeTo writes the message.
func (m source) writeTo(out io.Writer) error {
	w := &partWriter{out: out}
	w.printf("%s\r\n\r\n", strings.Join(m.fields, "\r\n"))
	if m.raw != nil {
		w.write(m.raw)
		return w.err
	}
	related := false
	for _, f := range m.files {
		related = related || f.isInline()
	}
	w.printf("--mixed_\r\n")
	if related {
		w.printf("Content-Type: multipart/related; boundary=related_\r\n\r\n--related_\r\n")
	}
	m.writeText(w)
	if related {
		for _, f := range m.files {
			if f.isInline() {
				f.writeTo(w, "related_")
			}
		}
		w.printf("--related_--\r\n")
	}
	for _, f := range m.files {
		if !f.isInline() {
			f.writeTo(w, "mixed_")
		}
	}
	w.printf("--mixed_--\r\n")
	return w.err
}

// writeText writes the text, in both forms if it is HTML.
func (m source) writeText(w *partWriter) {
	if m.body.ContentType != "html" {
		w.part("text/plain; charset=utf-8", "", []byte(m.body.Content))
		return
	}
	w.printf("Content-Type: multipart/alternative; boundary=forms_\r\n\r\n--forms_\r\n")
	w.part("text/plain; charset=utf-8", "", []byte(htmlText(m.body.Content)))
	w.printf("--forms_\r\n")
	w.part("text/html; charset=utf-8", "", []byte(storedContent(m.body)))
	w.printf("--forms_--\r\n")
}

func (f sourceFile) writeTo(w *partWriter, boundary string) {
	disposition, more := "attachment", ""
	if f.isInline() {
		disposition, more = "inline", "Content-ID: <"+oneField(strings.Trim(f.ContentID, "<>"))+">\r\n"
	}
	more += "Content-Disposition: " + mime.FormatMediaType(disposition, map[string]string{"filename": f.Name}) + "\r\n"
	w.printf("--%s\r\n", boundary)
	w.part(oneField(f.ContentType), more, f.content)
}

// partWriter writes parts of a message until there is an error.
type partWriter struct {
	out io.Writer
	err error
}

func (w *partWriter) write(p []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(p)
	}
}

func (w *partWriter) printf(format string, args ...any) { w.write(fmt.Appendf(nil, format, args...)) }

// part writes a part in base64, with more fields.
func (w *partWriter) part(contentType, fields string, content []byte) {
	w.printf("Content-Type: %s\r\n%sContent-Transfer-Encoding: base64\r\n\r\n", contentType, fields)
	const line = 57 // bytes, of which base64 makes 76
	for len(content) > 0 && w.err == nil {
		n := min(len(content), line)
		w.printf("%s\r\n", base64.StdEncoding.EncodeToString(content[:n]))
		content = content[n:]
	}
	if len(content) == 0 {
		w.printf("\r\n")
	}
}

// writeUpTo writes the beginning of the message, at most limit bytes, and reports whether that
// is all of it.
func (m source) writeUpTo(limit int) (text []byte, whole bool) {
	b := &cutBuffer{left: limit}
	err := m.writeTo(b)
	return b.Bytes(), err == nil
}

// cutBuffer is a buffer that refuses what it has no room for.
type cutBuffer struct {
	bytes.Buffer
	left int
}

// Write implements io.Writer.
func (b *cutBuffer) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.Buffer.Write(p[:n])
	if n < len(p) {
		return n, io.ErrShortBuffer
	}
	return n, nil
}

// getMIME serves "Get MIME content of a message".
func (c *call) getMIME() (response, error) {
	var a response
	err := c.withItem(func(i *item) error {
		var b bytes.Buffer
		if raw := c.sim.content.kept[mimeID(i)]; len(raw) > 0 {
			b.Write(raw)
		} else if err := c.sim.storedSource(i).writeTo(&b); err != nil {
			return err
		}
		a = response{status: http.StatusOK, body: b.Bytes(), header: http.Header{"Content-Type": {"text/plain"}}}
		return nil
	})
	return a, err
}
