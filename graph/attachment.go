package graph

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// Attachment is a file to be added to a draft.
type Attachment struct {
	Name        string // Graph refuses an empty one
	ContentType string
	ContentID   string // without angle brackets
	Inline      bool
	Size        int64            // bytes of content
	Open        func() io.Reader // the content from its beginning, Size bytes
}

// fileAttachment and attachmentItem are the two forms in which Graph is told of
// a file (resources/fileattachment, resources/attachmentitem).
type fileAttachment struct {
	Type        string `json:"@odata.type"`
	Name        string `json:"name"`
	ContentType string `json:"contentType,omitempty"`
	IsInline    bool   `json:"isInline"`
	ContentID   string `json:"contentId,omitempty"`
	Content     string `json:"contentBytes"`
}

type attachmentItem struct {
	Type        string `json:"attachmentType"`
	Name        string `json:"name"`
	Size        int64  `json:"size"`
	ContentType string `json:"contentType,omitempty"`
	IsInline    bool   `json:"isInline"`
	ContentID   string `json:"contentId,omitempty"`
}

// emptyContent stands in the JSON where a file's content is to be put.
const emptyContent = `"contentBytes":""`

func fileAttachmentOf(a Attachment) fileAttachment {
	return fileAttachment{Type: "#microsoft.graph.fileAttachment", Name: a.Name,
		ContentType: a.ContentType, IsInline: a.Inline, ContentID: a.ContentID}
}

// withContent makes the body of r from v, the JSON of which has an empty
// contentBytes for each of the files in turn: their content is encoded there as
// it is sent, and never held. (No string of JSON can look like emptyContent: its
// quotes would be escaped.)
func (r *request) withContent(v any, files ...Attachment) error {
	if err := r.json(v); err != nil {
		return err
	}
	rest, err := io.ReadAll(r.body())
	if err != nil {
		return err
	}
	var pieces []func() io.Reader
	text := func(b []byte) { pieces = append(pieces, func() io.Reader { return bytes.NewReader(b) }) }
	for _, f := range files {
		cut := bytes.Index(rest, []byte(emptyContent)) + len(emptyContent) - 1
		text(rest[:cut])
		pieces = append(pieces, func() io.Reader { return &base64Reader{src: f.Open()} })
		r.length += int64(base64.StdEncoding.EncodedLen(int(f.Size)))
		rest = rest[cut:]
	}
	text(rest)
	r.body = func() io.Reader {
		readers := make([]io.Reader, len(pieces))
		for i, open := range pieces {
			readers[i] = open()
		}
		return io.MultiReader(readers...)
	}
	return nil
}

// PostAttachment adds a file to a draft in one request (message-post-attachments).
func (m Mailbox) PostAttachment(ctx context.Context, draft string, a Attachment) (Reply, error) {
	r := &request{op: "attach", method: http.MethodPost,
		path: "/messages/" + url.PathEscape(draft) + "/attachments", success: []int{http.StatusCreated}}
	if err := r.withContent(fileAttachmentOf(a), a); err != nil {
		return Reply{}, err
	}
	return m.call(ctx, r, nil)
}

// base64Reader encodes what it reads from src.
type base64Reader struct {
	src io.Reader
	raw [3 << 12]byte
	enc [4 << 12]byte
	out []byte // of enc, not yet read
	err error
}

func (b *base64Reader) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		n, err := io.ReadFull(b.src, b.raw[:])
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		b.err = err
		base64.StdEncoding.Encode(b.enc[:], b.raw[:n])
		b.out = b.enc[:base64.StdEncoding.EncodedLen(n)]
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// CountAttachments returns the number of attachments of a draft.
func (m Mailbox) CountAttachments(ctx context.Context, draft string) (int, Reply, error) {
	r := &request{op: "list_attachments", method: http.MethodGet,
		path: "/messages/" + url.PathEscape(draft) + "/attachments", success: []int{http.StatusOK},
		query: url.Values{"$select": {"id,name,size"}}}
	var list struct {
		Value []struct{} `json:"value"`
	}
	reply, err := m.call(ctx, r, &list)
	if err == nil && list.Value == nil {
		err = unreadable(r.op, reply, errNoList)
	}
	return len(list.Value), reply, err
}
