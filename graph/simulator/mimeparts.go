package simulator

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"time"
)

// Limits on the parts of a MIME message that are shown. The message itself is kept whole.
const (
	maxMIMEDepth = 20
	maxMIMEParts = 250
)

// mimeParts collects the body and the attachments of a MIME message for the ledger and the
// page. It stops at what is malformed.
type mimeParts struct {
	item     *item
	contents [][]byte
	parts    int
}

// walk reads a part, or the parts of a multipart.
func (w *mimeParts) walk(header textproto.MIMEHeader, body io.Reader, depth int) {
	if w.parts++; w.parts > maxMIMEParts || depth > maxMIMEDepth {
		return
	}
	mediaType, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		mediaType = "text/plain"
	}
	if !strings.HasPrefix(mediaType, "multipart/") {
		w.leaf(header, mediaType, parameters["name"], body)
		return
	}
	reader := multipart.NewReader(body, parameters["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err != nil {
			return
		}
		w.walk(part.Header, part, depth+1)
	}
}

// leaf reads a part that is not a multipart.
func (w *mimeParts) leaf(header textproto.MIMEHeader, mediaType, name string, body io.Reader) {
	content, err := io.ReadAll(transferDecoder(header.Get("Content-Transfer-Encoding"), body))
	if err != nil && len(content) == 0 {
		return
	}
	disposition, parameters, _ := mime.ParseMediaType(header.Get("Content-Disposition"))
	if parameters["filename"] != "" {
		name = parameters["filename"]
	}
	isText := mediaType == "text/plain" || mediaType == "text/html"
	if isText && name == "" && disposition != "attachment" {
		w.text(strings.TrimPrefix(mediaType, "text/"), string(content))
		return
	}
	contentID := strings.Trim(header.Get("Content-Id"), "<> ")
	w.item.Attachments = append(w.item.Attachments, Attachment{
		ID: newID(attachmentPrefix), Name: name, ContentType: mediaType, ContentID: contentID, Modified: time.Now(),
		IsInline: disposition == "inline" && contentID != "", Size: int64(len(content)), SHA256: sha256Hex(content),
	})
	w.contents = append(w.contents, content)
}

// text makes the first text the body, and prefers HTML to plain text.
func (w *mimeParts) text(kind, content string) {
	if kind == "plain" {
		kind = "text"
	}
	body := &w.item.Body
	if body.Content == "" || kind == "html" && body.ContentType == "text" {
		*body = Body{ContentType: kind, Content: strings.ToValidUTF8(content, "\uFFFD")}
	}
}

func transferDecoder(encoding string, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}
