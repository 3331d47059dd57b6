package graph

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
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

// PostAttachment adds a file in one request (message-post-attachments); its
// content is encoded as it is sent and never held.
func (c *Client) PostAttachment(ctx context.Context, mailbox, draft string, a Attachment) (Reply, error) {
	const placeholder = `"contentBytes":"`
	head, err := json.Marshal(fileAttachment{Type: "#microsoft.graph.fileAttachment", Name: a.Name,
		ContentType: a.ContentType, IsInline: a.Inline, ContentID: a.ContentID})
	if err != nil {
		return Reply{}, err
	}
	cut := bytes.LastIndex(head, []byte(placeholder)) + len(placeholder)
	tail := head[cut:]
	return c.call(ctx, &request{
		op: "attach", method: http.MethodPost, mailbox: mailbox, path: "/messages/" + url.PathEscape(draft) + "/attachments",
		contentType: "application/json",
		length:      int64(len(head)) + int64(base64.StdEncoding.EncodedLen(int(a.Size))),
		body: func() io.Reader {
			return io.MultiReader(bytes.NewReader(head[:cut]), &base64Reader{src: a.Open()}, bytes.NewReader(tail))
		},
		success: []int{http.StatusCreated},
	}, nil)
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

// Attachments counts the files that the draft has.
func (c *Client) Attachments(ctx context.Context, mailbox, draft string) (int, Reply, error) {
	r := &request{op: "list_attachments", method: http.MethodGet, mailbox: mailbox,
		path: "/messages/" + url.PathEscape(draft) + "/attachments", success: []int{http.StatusOK},
		query: url.Values{"$select": {"id,name,size"}}}
	var list struct {
		Value []struct{} `json:"value"`
	}
	reply, err := c.call(ctx, r, &list)
	if err == nil && list.Value == nil {
		err = unreadable(r.op, reply, errNoList)
	}
	return len(list.Value), reply, err
}
