package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	fast "github.com/segmentio/asm/base64"
)

// Attachment is a file to be added to a message.
type Attachment struct {
	Name        string // must not be empty
	ContentType string
	ContentID   string // without angle brackets
	Inline      bool
	Size        int64            // bytes of content
	Open        func() io.Reader // returns a reader of all Size bytes
}

// fileAttachment is an attachment with its content (resources/fileattachment).
type fileAttachment struct {
	Type        string `json:"@odata.type"`
	Name        string `json:"name"`
	ContentType string `json:"contentType,omitempty"`
	IsInline    bool   `json:"isInline"`
	ContentID   string `json:"contentId,omitempty"`
	Content     string `json:"contentBytes"`
}

// attachmentItem describes an attachment for an upload session (resources/attachmentitem).
type attachmentItem struct {
	Type        string `json:"attachmentType"`
	Name        string `json:"name"`
	Size        int64  `json:"size"`
	ContentType string `json:"contentType,omitempty"`
	IsInline    bool   `json:"isInline"`
	ContentID   string `json:"contentId,omitempty"`
}

// emptyContent is the place in the JSON of a file where its content is inserted.
const emptyContent = `"contentBytes":""`

func fileAttachmentOf(a Attachment) fileAttachment {
	return fileAttachment{Type: "#microsoft.graph.fileAttachment", Name: a.Name,
		ContentType: a.ContentType, IsInline: a.Inline, ContentID: a.ContentID}
}

// content returns what is inserted into the JSON of the file.
func (a Attachment) content() insert {
	return insert{at: emptyContent, length: int64(base64.StdEncoding.EncodedLen(int(a.Size))),
		open: func() io.Reader { return &base64Reader{src: a.Open()} }}
}

// MayFit reports whether PostAttachment may be able to add the file: its request is within 4
// MiB, although the file may have the 3 MB from which an upload session is required.
func (a Attachment) MayFit() bool {
	var r request
	return r.jsonWith(fileAttachmentOf(a), a.content()) == nil && r.length < MayFitBytes
}

// PostAttachment adds a file to a draft in one request (message-post-attachments).
func (m Mailbox) PostAttachment(ctx context.Context, draft string, a Attachment) (Reply, error) {
	r := &request{op: "attach", method: http.MethodPost,
		path: "/messages/" + url.PathEscape(draft) + "/attachments", success: []int{http.StatusCreated}}
	if err := r.jsonWith(fileAttachmentOf(a), a.content()); err != nil {
		return Reply{}, err
	}
	return m.call(ctx, r, nil)
}

// base64Reader encodes the bytes of src in base64. It fills what it is given, since what reads it
// passes each Read on as a write to the connection.
type base64Reader struct {
	src io.Reader
	raw [24 << 10]byte // io.Copy asks for 32 KiB of base64, HTTP/2 for a frame of 16
	one [4]byte        // for a Read of less
	out []byte         // the part of one that is not read yet
	err error
}

// Read implements io.Reader.
func (b *base64Reader) Read(p []byte) (int, error) {
	switch {
	case len(b.out) > 0:
		n := copy(p, b.out)
		b.out = b.out[n:]
		return n, nil
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	case len(p) < len(b.one):
		n, err := b.encode(b.one[:])
		b.out = b.one[:n]
		if n == 0 {
			return 0, err
		}
		return b.Read(p)
	}
	return b.encode(p)
}

// encode fills dst, as far as whole groups of four go.
func (b *base64Reader) encode(dst []byte) (int, error) {
	n, err := io.ReadFull(b.src, b.raw[:min(len(dst)/4*3, len(b.raw))])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if b.err = err; n == 0 {
		return 0, err
	}
	fast.StdEncoding.Encode(dst, b.raw[:n])
	return base64.StdEncoding.EncodedLen(n), nil
}

// CountAttachments returns the number of attachments of a draft. That their list has several
// pages is not documented.
func (m Mailbox) CountAttachments(ctx context.Context, draft string) (int, Reply, error) {
	r := &request{op: "list_attachments", method: http.MethodGet,
		path: "/messages/" + url.PathEscape(draft) + "/attachments", success: []int{http.StatusOK},
		query: url.Values{"$select": {"id,name,size"}}}
	n := 0
	for range maxAttachmentPages {
		var page struct {
			Value []struct{} `json:"value"`
			Next  string     `json:"@odata.nextLink"`
		}
		reply, err := m.call(ctx, r, &page)
		if err == nil && page.Value == nil {
			err = unreadable(r.op, reply, errNoList)
		}
		n += len(page.Value)
		if err != nil || page.Next == "" {
			return n, reply, err
		}
		if err := r.turnPage(page.Next, reply); err != nil {
			return 0, reply, err
		}
	}
	return 0, Reply{}, unreadable(r.op, Reply{}, fmt.Errorf("it has more than %d pages", maxAttachmentPages))
}

// maxAttachmentPages is how many pages of a list of attachments are read.
const maxAttachmentPages = 200

// Stored is what a draft shows of an attachment.
type Stored struct {
	Name        string `json:"name"`
	ContentType string `json:"contentType"`
	Inline      bool   `json:"isInline"`
	// ContentID is JSON: a string, or null for none. It is nil if it is not shown.
	ContentID json.RawMessage `json:"contentId"`
}

// HasContentID reports whether the attachment has this Content-ID, as far as that is shown.
// An empty one is not missed.
func (s Stored) HasContentID(id string) bool {
	var has string
	return id == "" || s.ContentID == nil || json.Unmarshal(s.ContentID, &has) == nil && has == id
}

// Attachments returns what the draft shows of its first attachments, without their content.
// The contentId is a property of fileAttachment, a type below the one that a list has
// (resources/fileattachment): where Graph does not show it, the list comes without.
func (m Mailbox) Attachments(ctx context.Context, draft string) ([]Stored, Reply, error) {
	const fields = "id,name,contentType,isInline"
	list, reply, err := m.attachments(ctx, draft, fields+",microsoft.graph.fileAttachment/contentId")
	if reply.Status == http.StatusBadRequest {
		list, reply, err = m.attachments(ctx, draft, fields)
	}
	return list, reply, err
}

func (m Mailbox) attachments(ctx context.Context, draft, fields string) ([]Stored, Reply, error) {
	r := &request{op: "list_attachments", method: http.MethodGet,
		path: "/messages/" + url.PathEscape(draft) + "/attachments", success: []int{http.StatusOK},
		query: url.Values{"$select": {fields}}}
	var answer struct {
		Value []Stored `json:"value"`
	}
	reply, err := m.call(ctx, r, &answer)
	return answer.Value, reply, err
}
