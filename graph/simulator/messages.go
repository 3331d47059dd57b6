package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// get serves "Get message".
func (c *call) get() (response, error) {
	return c.readItem(func(i *item, o queryOptions) (any, error) { return c.messageJSON(i, o), nil })
}

// list serves "List messages" of the mailbox or of a folder, newest first, in
// pages of $top items.
func (c *call) list() (response, error) {
	options, err := parseQuery(c.r.URL.Query())
	if err != nil {
		return response{}, err
	}
	folder := c.r.PathValue("folder")
	if folder != "" && folderName(folder) == "" {
		return response{}, itemNotFound()
	}
	s := c.sim
	w := s.world()
	if err := w.checkFilter(options.filter, folder); err != nil {
		return response{}, err
	}
	if w.ExpandIgnored {
		options.properties = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*item
	for _, i := range s.mailbox(c.mailbox).byImmutable {
		if i.isIn(folder) && !s.hidden(i) && w.finds(options.filter, i) {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b *item) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	if options.oldestFirst {
		slices.Reverse(found)
	}
	return jsonResponse(http.StatusOK, c.listPage(found, options)), nil
}

// listPage returns the JSON of a page of items. The caller holds s.mu.
func (c *call) listPage(found []*item, options queryOptions) map[string]any {
	rest := found[min(options.skip, len(found)):]
	shown := []any{}
	for _, i := range rest[:min(options.top, len(rest))] {
		shown = append(shown, c.messageJSON(i, options))
	}
	list := map[string]any{
		"@odata.context": fmt.Sprintf("https://graph.microsoft.com/v1.0/$metadata#users('%s')/messages", objectID(c.mailbox)),
		"value":          shown,
	}
	if len(rest) > options.top {
		list["@odata.nextLink"] = c.nextPage(options.skip + options.top)
	}
	return list
}

// nextPage returns the link to the rest of a list.
func (c *call) nextPage(skip int) string {
	query := c.r.URL.Query()
	query.Set("$skip", strconv.Itoa(skip))
	return fmt.Sprintf("%s://%s%s?%s", c.scheme(), c.r.Host, c.r.URL.EscapedPath(), query.Encode())
}

// itemJSON is the JSON of an item. As in Graph's, the etag and the id come first, so that a
// client can read them without reading a long body.
type itemJSON map[string]any

// MarshalJSON implements json.Marshaler.
func (m itemJSON) MarshalJSON() ([]byte, error) {
	rest := maps.Clone(m)
	out := []byte{'{'}
	for _, name := range []string{"@odata.etag", "id"} {
		value, err := json.Marshal(m[name])
		if err != nil {
			return nil, err
		}
		delete(rest, name)
		out = append(fmt.Appendf(out, "%q:", name), append(value, ',')...)
	}
	tail, err := json.Marshal(map[string]any(rest))
	if err != nil || len(rest) == 0 {
		return append(out[:len(out)-1], '}'), err
	}
	return append(out, tail[1:]...), nil
}

// messageJSON returns an item as Graph shows it. The caller holds s.mu.
func (c *call) messageJSON(i *item, o queryOptions) itemJSON {
	shown := itemJSON(c.properties(i))
	if len(o.selected) > 0 {
		for name := range shown {
			if !slices.Contains(o.selected, name) && name != "id" {
				delete(shown, name)
			}
		}
	}
	// Graph shows it only if it is selected: "message resource type".
	if slices.Contains(o.selected, "internetMessageHeaders") {
		shown["internetMessageHeaders"] = slices.Clone(i.Headers)
	}
	shown["@odata.etag"] = fmt.Sprintf(`W/"%s"`, i.changeKey())
	if properties := c.selectProperties(i, o.properties); len(properties) > 0 {
		shown["singleValueExtendedProperties"] = properties
	}
	if o.expandAttachments {
		list := []any{}
		for _, a := range i.Attachments {
			list = append(list, c.sim.showAttachment(a))
		}
		shown["attachments"] = list
	}
	return shown
}

// properties returns the properties that the sample answers of "Create message" have.
func (c *call) properties(i *item) map[string]any {
	shown := map[string]any{
		"id":                         c.visibleID(i),
		"createdDateTime":            graphTime(i.Created),
		"lastModifiedDateTime":       graphTime(i.Modified),
		"changeKey":                  i.changeKey(),
		"categories":                 nonNil(i.Categories),
		"receivedDateTime":           graphTime(i.sentOrCreated()),
		"sentDateTime":               graphTime(i.sentOrCreated()),
		"hasAttachments":             slices.ContainsFunc(i.Attachments, func(a Attachment) bool { return !a.IsInline }),
		"internetMessageId":          i.InternetMessageID,
		"subject":                    i.Subject,
		"bodyPreview":                bodyPreview(i.Body),
		"importance":                 i.Importance,
		"parentFolderId":             folderID(i),
		"conversationId":             i.conversation,
		"conversationIndex":          "AQHSIMULATED",
		"isDeliveryReceiptRequested": i.DeliveryReceipt,
		"isReadReceiptRequested":     i.ReadReceipt,
		"isRead":                     !i.Unread,
		"isDraft":                    i.IsDraft(),
		"webLink":                    "https://outlook.office365.com/owa/?ItemID=" + i.mutableID,
		"inferenceClassification":    "focused",
		"body":                       map[string]any{"contentType": i.Body.ContentType, "content": storedContent(i.Body)},
		"toRecipients":               recipients(i.To),
		"ccRecipients":               recipients(i.Cc),
		"bccRecipients":              recipients(i.Bcc),
		"replyTo":                    recipients(i.ReplyTo),
		"flag":                       map[string]any{"flagStatus": "notFlagged"},
	}
	if i.From != nil {
		shown["from"] = recipient{*i.From}
	}
	if i.Sender != nil {
		shown["sender"] = recipient{*i.Sender}
	}
	return shown
}

// selectProperties returns the item's extended properties with these ids.
func (c *call) selectProperties(i *item, ids []string) []Property {
	var found []Property
	for _, p := range i.Properties {
		if slices.Contains(ids, p.ID) {
			found = append(found, p)
		}
	}
	if c.sim.options.MessageFlags && slices.Contains(ids, messageFlags) {
		found = append(found, Property{ID: messageFlags, Value: strconv.Itoa(i.flags())})
	}
	return found
}

func (i *item) changeKey() string {
	return fmt.Sprintf("CQAAABYAAAD%s%04d", i.ID[len(i.ID)-12:], i.changes)
}

func (i *item) sentOrCreated() time.Time {
	if i.Sent.IsZero() {
		return i.Created
	}
	return i.Sent
}

// storedContent returns the content as Exchange shows it: HTML becomes a whole document.
func storedContent(body Body) string {
	if body.ContentType != "html" {
		return body.Content
	}
	const head = "<html><head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">"
	lower := strings.ToLower(body.Content)
	if start := strings.Index(lower, "<head>"); start >= 0 {
		return head + body.Content[start+len("<head>"):]
	}
	return head + "</head><body>" + body.Content + "</body></html>"
}

// bodyPreview returns the beginning of the text, without tags.
func bodyPreview(body Body) string {
	text := body.Content[:min(len(body.Content), 4096)]
	if body.ContentType == "html" {
		var plain strings.Builder
		for part := range strings.SplitSeq(text, "<") {
			if _, after, ok := strings.Cut(part, ">"); ok {
				part = after
			}
			plain.WriteString(part)
		}
		text = plain.String()
	}
	text = strings.ToValidUTF8(strings.TrimSpace(text), "")
	if runes := []rune(text); len(runes) > 255 {
		text = string(runes[:255])
	}
	return text
}

func folderID(i *item) string {
	return "AQMkAD" + strings.ReplaceAll(objectID(i.Mailbox+"/"+i.Folder), "-", "")
}

func recipients(list []Address) []recipient {
	shown := make([]recipient, len(list))
	for n, a := range list {
		shown[n] = recipient{a}
	}
	return shown
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func graphTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// selectAttachment applies $select to the JSON of an attachment.
func (o queryOptions) selectAttachment(shown map[string]any) map[string]any {
	if len(o.selected) == 0 {
		return shown
	}
	for name := range shown {
		if !slices.Contains(o.selected, name) && name != "id" && !strings.HasPrefix(name, "@odata.") {
			delete(shown, name)
		}
	}
	return shown
}
