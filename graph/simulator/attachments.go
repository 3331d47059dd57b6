package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	fileAttachmentType = "#microsoft.graph.fileAttachment"
	itemAttachmentType = "#microsoft.graph.itemAttachment"
)

// attachmentInput is an attachment in a request, after the check against the schema.
type attachmentInput struct {
	Type         string          `json:"@odata.type"`
	Name         string          `json:"name"`
	ContentType  string          `json:"contentType"`
	ContentBytes *string         `json:"contentBytes"`
	ContentID    string          `json:"contentId"`
	IsInline     bool            `json:"isInline"`
	Item         json.RawMessage `json:"item"`
}

// attach serves "Add attachment".
func (c *call) attach() (response, error) {
	var input attachmentInput
	if _, err := c.readJSON(c.sim.options.Limits.AttachmentRequest, "attachment", &input); err != nil {
		return response{}, err
	}
	attachment, content, err := c.sim.newAttachment(input)
	if err != nil {
		return response{}, err
	}
	location, err := c.addAttachment(&attachment, content)
	if err != nil {
		return response{}, err
	}
	shown := attachmentJSON(attachment, content)
	shown["@odata.context"] = fmt.Sprintf("https://graph.microsoft.com/v1.0/$metadata#users('%s')/messages('%s')/attachments/$entity", objectID(c.mailbox), c.itemID)
	a := jsonResponse(http.StatusCreated, shown)
	a.header.Set("Location", location)
	return a, nil
}

// addAttachment adds an attachment to the draft of the path and returns its URL.
func (c *call) addAttachment(attachment *Attachment, content []byte) (location string, err error) {
	err = c.withDraft(func(i *item) error {
		if err := c.sim.checkGrowth(i, attachment.Size); err != nil {
			return err
		}
		attachment.Kept = c.sim.content.put(attachment.ID, content)
		i.Attachments = append(i.Attachments, *attachment)
		i.markModified()
		location = c.itemURL(i) + "/attachments('" + attachment.ID + "')"
		return nil
	})
	return location, err
}

// withDraft is withItem for an item that has not been submitted. Others are refused.
func (c *call) withDraft(do func(*item) error) error {
	return c.withItem(func(i *item) error {
		if i.Submitted {
			return badRequest("ErrorInvalidRequest", "The operation is not allowed on an item that was submitted.")
		}
		return do(i)
	})
}

// newAttachment returns the attachment of a request, and its content.
func (s *Simulator) newAttachment(input attachmentInput) (Attachment, []byte, error) {
	if input.Name == "" {
		return Attachment{}, nil, badRequest("ErrorInvalidArgument", "Required property 'name' of the attachment is missing or empty.")
	}
	attachment := Attachment{
		ID: newID(attachmentPrefix), Name: input.Name, ContentType: input.ContentType,
		ContentID: input.ContentID, IsInline: input.IsInline, Modified: time.Now(),
	}
	content, err := attachment.read(input)
	if err != nil {
		return Attachment{}, nil, err
	}
	if limit := s.options.Limits.Attachment; int64(len(content)) >= limit {
		return Attachment{}, nil, refuse(http.StatusRequestEntityTooLarge, "ErrorMessageSizeExceeded",
			"The attachment must be smaller than %d bytes; use an upload session.", limit)
	}
	attachment.SHA256 = sha256Hex(content)
	attachment.Size = int64(len(content))
	return attachment, content, nil
}

// read returns the content of a request's attachment: the bytes of a file, or the JSON of an
// item.
func (a *Attachment) read(input attachmentInput) ([]byte, error) {
	switch input.Type {
	case fileAttachmentType, fileAttachmentType[1:]:
		if input.ContentBytes == nil {
			return nil, badRequest("ErrorInvalidArgument", "Required property 'contentBytes' of the attachment is missing.")
		}
		content, err := base64.StdEncoding.DecodeString(*input.ContentBytes)
		if err != nil {
			return nil, badRequest("RequestBodyRead", "Cannot convert the value of 'contentBytes' to the expected type 'Edm.Binary'.")
		}
		setDefault(&a.ContentType, "application/octet-stream")
		return content, nil
	case itemAttachmentType, itemAttachmentType[1:]:
		if len(input.Item) == 0 || input.Item[0] != '{' {
			return nil, badRequest("ErrorInvalidArgument", "Required property 'item' of the attachment is missing.")
		}
		a.IsItem, a.ContentType = true, ""
		return input.Item, nil
	}
	return nil, badRequest("RequestBodyRead", "The attachment needs '@odata.type' %s; '%s' is not known.", fileAttachmentType, input.Type)
}

// attachmentJSON returns an attachment as Graph shows it. The size that Graph shows is
// larger than the content, by some 4.5 % in "Attach large files to Outlook messages". The
// simulator does the same, so that no client comes to rely on equal sizes.
func attachmentJSON(a Attachment, content []byte) map[string]any {
	shown := map[string]any{
		"@odata.type":             fileAttachmentType,
		"@odata.mediaContentType": a.ContentType,
		"id":                      a.ID,
		"lastModifiedDateTime":    a.Modified.UTC().Format(time.RFC3339),
		"name":                    a.Name,
		"contentType":             nullable(a.ContentType),
		"size":                    a.Size + a.Size*45/1000 + 120,
		"isInline":                a.IsInline,
		"contentId":               nullable(a.ContentID),
		"contentLocation":         nil,
	}
	switch {
	case a.IsItem:
		shown["@odata.type"] = itemAttachmentType
		delete(shown, "@odata.mediaContentType")
	case content != nil:
		shown["contentBytes"] = content
	default:
		shown["contentBytes"] = nil
	}
	return shown
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// listAttachments serves "List attachments".
func (c *call) listAttachments() (response, error) {
	return c.readItem(func(i *item, o queryOptions) (any, error) {
		page, list := map[string]any{}, []any{}
		rest := i.Attachments[min(o.skip, len(i.Attachments)):]
		if size := c.sim.world().AttachmentsPage; size > 0 && len(rest) > size {
			rest = rest[:size]
			page["@odata.nextLink"] = c.nextPage(o.skip + size)
		}
		for _, a := range rest {
			list = append(list, o.selectAttachment(c.sim.showAttachment(a)))
		}
		page["value"] = list
		return page, nil
	})
}

// getAttachment serves "Get attachment".
func (c *call) getAttachment() (response, error) {
	return c.readItem(func(i *item, o queryOptions) (any, error) {
		for _, a := range i.Attachments {
			if a.ID == c.r.PathValue("attachment") {
				return o.selectAttachment(c.sim.showAttachment(a)), nil
			}
		}
		return nil, itemNotFound()
	})
}

// showAttachment returns an attachment as Graph shows it. It leaves out content that came by
// an upload session: the answer would be as large as the upload.
func (s *Simulator) showAttachment(a Attachment) map[string]any {
	var content []byte
	if a.Size < s.options.Limits.Attachment {
		content = s.content.kept[a.ID]
	}
	return attachmentJSON(a, content)
}
