package console

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"graphrelay/internal/look"
	"graphrelay/internal/text"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// messagePage shows a message with its history.
func messagePage() page {
	return page{path: "messages/{id}", within: "messages", file: "message.html", view: (*Console).message, actions: []action{
		{path: "messages/{id}/resend", role: operators.Operator, do: (*Console).resend},
	}}
}

// step is an event of a message's history.
type step struct {
	queue.Event
	Words []word // of the detail
}

// word is a part of a text that may be the queue ID of another message.
type word struct {
	Text string
	ID   bool
}

type messageView struct {
	operations.Message
	tabs
	Actions []queue.Action // that are possible
	Resend  string         // empty: it can be sent again; otherwise why not
	SendTo  string         // the recipients to whom it would be sent again, one a line
	Story   []step
	Changes []step // what the conversion has changed or lost
	Percent int    // of the file that is uploaded
	Until   time.Time
}

// tabs are the views of one message.
type tabs struct {
	Of, Tab string // the message, and the view that is shown
	Reads   bool   // the person may read the content
	Why     string
}

func (c *Console) tabs(r *http.Request, id, tab string) tabs {
	t := tabs{Of: id, Tab: tab}
	t.Why = c.contentRefused(r)
	t.Reads = t.Why == ""
	return t
}

// PageTitle implements titled.
func (v messageView) PageTitle() string { return titleOf(v.Message) }

func titleOf(m operations.Message) string {
	return cmp.Or(text.Shorten(text.Printable(m.Subject), 200), "Message "+m.ID)
}

func (c *Console) message(r *http.Request) (any, error) {
	m, err := c.find(r)
	if err != nil {
		return nil, err
	}
	v := messageView{Message: m, tabs: c.tabs(r, m.ID, "story")}
	record := queue.Record{ID: m.ID, Entry: queue.Entry{Lane: m.Lane.Lane()}, Status: queue.Status{State: m.State, HasContent: m.HasContent}}
	for _, a := range []queue.Action{queue.Release, queue.Retry, queue.Hold, queue.Delete} {
		if a.Check(record) == nil {
			v.Actions = append(v.Actions, a)
		}
	}
	if err := queue.CheckResend(record); err != nil {
		v.Resend = strings.TrimPrefix(err.Error(), queue.ErrState.Error()+": ")
	}
	v.SendTo = strings.Join(missed(m), "\n")
	for _, e := range m.Events {
		s := step{e, linked(e.Detail)}
		if e.What == "lost" || e.What == "converted" {
			v.Changes = append(v.Changes, s)
		} else {
			v.Story = append(v.Story, s)
		}
	}
	if m.UploadSize > 0 {
		v.Percent = int(100 * m.Uploaded / m.UploadSize)
	}
	if m.Due != nil {
		v.Until = *m.Due
	}
	return v, nil
}

// missed returns the recipients who do not have the message, as far as that is known.
func missed(m operations.Message) []string {
	if !m.State.Left() {
		return m.To
	}
	to := slices.Clone(m.Refused)
	for _, x := range m.Returns {
		to = append(to, x.Recipient)
	}
	return to
}

// find returns the message that the path names. An ID may be written in capitals.
func (c *Console) find(r *http.Request) (operations.Message, error) {
	id := strings.ToLower(r.PathValue("id"))
	if !queue.ValidID(id) {
		return operations.Message{}, fault{http.StatusNotFound, "That is no queue ID. It has 16 letters and digits."}
	}
	m, err := c.cfg.Ops.Message(r.Context(), id)
	if errors.Is(err, queue.ErrNotFound) {
		return m, fault{http.StatusNotFound, "There is no message with the queue ID " + id + ". Its record may have been removed since: queue.keep_sent and queue.keep_failed say how long they are kept."}
	}
	return m, err
}

// linked splits a text, so that queue IDs in it can be links.
func linked(detail string) (words []word) {
	for i, part := range strings.SplitAfter(detail, " ") {
		if id := strings.TrimRight(part, " ,.;"); queue.ValidID(id) {
			words = append(words, word{id, true}, word{part[len(id):], false})
		} else if i > 0 && !words[len(words)-1].ID {
			words[len(words)-1].Text += part
		} else {
			words = append(words, word{part, false})
		}
	}
	return words
}

// resend sends the content of the message to other recipients.
func (c *Console) resend(r *http.Request) (string, error) {
	to := strings.FieldsFunc(r.PostForm.Get("to"), func(x rune) bool { return x == '\n' || x == '\r' || x == ',' || x == ';' })
	again, err := c.cfg.Ops.Resend(r.Context(), by(r), strings.ToLower(r.PathValue("id")), to)
	if err != nil {
		return "", err
	}
	r.PostForm.Set("back", messagesURL+"/"+again)
	return "It is sent again as this message, which is queued.", nil
}

// contentPage shows what the stored content of a message has, compared with its envelope.
func contentPage() page {
	return page{path: "messages/{id}/content", within: "messages", file: "content.html", view: (*Console).content}
}

type contentView struct {
	Message operations.Message
	tabs
	operations.Description
}

// PageTitle implements titled.
func (v contentView) PageTitle() string { return titleOf(v.Message) }

func (c *Console) content(r *http.Request) (any, error) {
	m, err := c.readable(r, operations.ReadContent)
	if err != nil {
		return nil, err
	}
	d, err := c.cfg.Live.Describe(r.Context(), m.ID)
	return contentView{m, c.tabs(r, m.ID, "content"), d}, err
}

// readable returns the message whose content the person may read, and records that they do.
func (c *Console) readable(r *http.Request, as operations.Reading) (operations.Message, error) {
	if why := c.contentRefused(r); why != "" {
		return operations.Message{}, fault{http.StatusForbidden, why}
	}
	m, err := c.find(r)
	if err == nil && !m.HasContent {
		err = fault{http.StatusGone, "Only the record of this message is left. Its content goes when the message is sent or some time later, when it is deleted, and when it is sent again as another message."}
	}
	if err == nil {
		err = c.cfg.Ops.RecordReading(r.Context(), by(r), as, m.ID)
	}
	return m, err
}

// contentRefused returns why the person may not read the content of messages, empty if they may.
func (c *Console) contentRefused(r *http.Request) string {
	switch {
	case operators.Of(r.Context()).Role < operators.Operator:
		return "The content of messages is for operators. You have the role viewer."
	case !c.cfg.ShowContent():
		return "The configuration of the relay forbids to show the content of messages (admin.show_content)."
	}
	return ""
}

// sourcePage shows the raw message.
func sourcePage() page {
	return page{path: "messages/{id}/source", within: "messages", file: "source.html", view: (*Console).source}
}

// maxSource bounds how much of a message is shown, in bytes.
const maxSource = 256 << 10

type sourceView struct {
	Message operations.Message
	tabs
	Source string
	More   string // how much there is, if not all is shown
}

// PageTitle implements titled.
func (v sourceView) PageTitle() string { return titleOf(v.Message) }

func (c *Console) source(r *http.Request) (any, error) {
	m, err := c.readable(r, operations.ReadSource)
	if err != nil {
		return nil, err
	}
	b := &beginning{max: maxSource}
	err = c.cfg.Ops.Content(r.Context(), m.ID, b)
	v := sourceView{Message: m, tabs: c.tabs(r, m.ID, "source"), Source: printable(b.buf.Bytes())}
	if b.over {
		v.More, err = look.Bytes(m.Size), nil
	}
	return v, err
}

// beginning keeps the first bytes that are written, and ends the writing then.
type beginning struct {
	buf  bytes.Buffer // not embedded: its ReadFrom knows no bound
	max  int
	over bool
}

type errOver struct{}

func (errOver) Error() string { return "enough was read" }

// Write implements io.Writer.
func (b *beginning) Write(p []byte) (int, error) {
	if n := b.max - b.buf.Len(); len(p) > n {
		b.over = true
		b.buf.Write(p[:n])
		return n, errOver{}
	}
	return b.buf.Write(p)
}

// printable returns bytes of a message as text. Control characters and what turns the direction of
// writing are replaced.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return -1
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(string(b), string(unicode.ReplacementChar)))
}
