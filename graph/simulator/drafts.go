package simulator

import (
	"fmt"
	"net/http"
	"strings"
)

// messageInput is a message in a request, after the check against the schema.
type messageInput struct {
	Subject           *string           `json:"subject"`
	Body              *Body             `json:"body"`
	From              *recipient        `json:"from"`
	Sender            *recipient        `json:"sender"`
	To                []recipient       `json:"toRecipients"`
	Cc                []recipient       `json:"ccRecipients"`
	Bcc               []recipient       `json:"bccRecipients"`
	ReplyTo           []recipient       `json:"replyTo"`
	Importance        *string           `json:"importance"`
	Inference         *string           `json:"inferenceClassification"`
	Categories        []string          `json:"categories"`
	IsRead            *bool             `json:"isRead"`
	ReadReceipt       *bool             `json:"isReadReceiptRequested"`
	DeliveryReceipt   *bool             `json:"isDeliveryReceiptRequested"`
	InternetMessageID *string           `json:"internetMessageId"`
	Headers           *[]Header         `json:"internetMessageHeaders"`
	Properties        []Property        `json:"singleValueExtendedProperties"`
	Attachments       []attachmentInput `json:"attachments"`
}

// recipient is a recipient in the JSON of Graph.
type recipient struct {
	EmailAddress Address `json:"emailAddress"`
}

// create serves "Create message", with JSON or MIME.
func (c *call) create() (response, error) {
	var i *item
	var contents [][]byte
	var err error
	if c.op == OpCreateMIME {
		i, contents, err = c.readMIME()
	} else {
		i, contents, err = c.readMessage()
	}
	if err != nil {
		return response{}, err
	}
	if err := c.checkFolder(); err != nil {
		return response{}, err
	}
	s := c.sim
	if w := s.world(); w.UnresolvedAtCreate {
		if err := w.checkResolved(i.Recipients()); err != nil {
			return response{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.store(i, contents); err != nil {
		return response{}, err
	}
	a := jsonResponse(http.StatusCreated, c.messageJSON(i, queryOptions{}))
	a.header.Set("Location", c.itemURL(i))
	return a, nil
}

// checkFolder refuses every folder but Drafts.
func (c *call) checkFolder() error {
	folder := c.r.PathValue("folder")
	if folder == "" || folderName(folder) == Drafts {
		return nil
	}
	if folderName(folder) == "" {
		return itemNotFound()
	}
	return badRequest("ErrorInvalidRequest", "The simulator creates drafts in Drafts only.")
}

// folderName returns the display name of a well-known folder name, "" if it is not known.
func folderName(wellKnown string) string {
	switch strings.ToLower(wellKnown) {
	case "drafts":
		return Drafts
	case "sentitems":
		return SentItems
	case "inbox":
		return Inbox
	case "junkemail":
		return JunkEmail
	case "deleteditems":
		return DeletedItems
	case "recoverableitemsdeletions":
		return RecoverableItems
	}
	return ""
}

// store adds the item and its contents to the mailbox. The caller holds s.mu.
func (c *call) store(i *item, contents [][]byte) error {
	s := c.sim
	if s.full() {
		return refuse(http.StatusForbidden, "ErrorQuotaExceeded", "Mailbox has exceeded maximum mailbox size.")
	}
	s.resolveRecipients(i)
	if s.world().NewMessageIDOnCreate {
		i.InternetMessageID = ""
	}
	s.add(s.mailbox(c.mailbox), i)
	c.itemID = i.ID
	if i.MIME != nil {
		i.MIME.Kept = s.content.put(i.MIME.ID, contents[0])
		contents = contents[1:]
	}
	for n := range i.Attachments {
		i.Attachments[n].Kept = s.content.put(i.Attachments[n].ID, contents[n])
	}
	return nil
}

// readMessage reads a message in JSON, and returns its item and the contents of its
// attachments.
func (c *call) readMessage() (*item, [][]byte, error) {
	var input messageInput
	if _, err := c.readJSON(c.sim.options.Limits.Request, "message", &input); err != nil {
		return nil, nil, err
	}
	c.checkQueueProperty(input.Properties)
	return c.sim.newItem(input)
}

// readJSON reads a JSON body of at most limit bytes, checks it against a type of the schema
// and decodes it into value. It returns the body too.
func (c *call) readJSON(limit int64, typeName string, value any) ([]byte, error) {
	switch c.mediaType() {
	case "application/json":
		body, err := c.readBody(limit)
		if err != nil {
			return nil, err
		}
		return body, decode(body, typeName, value)
	case "":
		return nil, badRequest("BadRequest", "Write requests (excluding DELETE) must contain the Content-Type header declaration.")
	case "text/plain":
		return nil, badRequest("UnableToDeserializePostBody", "were unable to deserialize ")
	}
	return nil, refuse(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "Unsupported media type '%s'.", c.mediaType())
}

// newItem returns an item that is in no mailbox yet, and the contents of its attachments.
func (s *Simulator) newItem(input messageInput) (*item, [][]byte, error) {
	if err := s.world().filterProperties(&input); err != nil {
		return nil, nil, err
	}
	i := &item{path: PathDraft}
	i.Body.ContentType, i.Importance = "text", "normal"
	if input.Headers != nil {
		if err := checkHeaders(*input.Headers); err != nil {
			return nil, nil, err
		}
		i.Headers = *input.Headers
	}
	if err := i.apply(input); err != nil {
		return nil, nil, err
	}
	var err error
	if i.Properties, err = s.world().filterExtended(i.Properties); err != nil {
		return nil, nil, err
	}
	contents := make([][]byte, len(input.Attachments))
	for n, a := range input.Attachments {
		attachment, content, err := s.newAttachment(a)
		if err != nil {
			return nil, nil, err
		}
		i.Attachments = append(i.Attachments, attachment)
		contents[n] = content
	}
	return i, contents, nil
}

// checkHeaders checks the names of headers, as "message resource type" requires
// [documented], and their number [reported].
func checkHeaders(headers []Header) error {
	if len(headers) == 0 || len(headers) > maxHeaders {
		return badRequest("InvalidInternetMessageHeaderCollection",
			"Maximum number of headers in one message should be less than or equal to %d.", maxHeaders)
	}
	for _, h := range headers {
		if !strings.HasPrefix(strings.ToLower(h.Name), "x-") {
			return badRequest("InvalidInternetMessageHeader",
				"The internet message header name '%s' should start with 'x-' or 'X-'.", h.Name)
		}
	}
	return nil
}

// apply sets the properties in the input, except headers and attachments.
func (i *item) apply(input messageInput) error {
	if err := i.applyText(input); err != nil {
		return err
	}
	for _, field := range []struct {
		list  *[]Address
		input []recipient
	}{{&i.To, input.To}, {&i.Cc, input.Cc}, {&i.Bcc, input.Bcc}, {&i.ReplyTo, input.ReplyTo}} {
		if field.input != nil {
			*field.list = addresses(field.input)
		}
	}
	if n := len(i.Recipients()); n > maxRecipients {
		return badRequest("ErrorInvalidRecipients", "The message has %d recipients, more than the %d that are allowed.", n, maxRecipients)
	}
	if input.From != nil {
		from := input.From.EmailAddress
		i.From = &from
	}
	if input.Sender != nil {
		sender := input.Sender.EmailAddress
		i.Sender = &sender
	}
	if input.IsRead != nil {
		i.Unread = !*input.IsRead
	}
	setIf(&i.ReadReceipt, input.ReadReceipt)
	setIf(&i.DeliveryReceipt, input.DeliveryReceipt)
	if input.Categories != nil {
		i.Categories = input.Categories
	}
	return i.applyProperties(input.Properties)
}

func (i *item) applyText(input messageInput) error {
	setIf(&i.Subject, input.Subject)
	setIf(&i.InternetMessageID, input.InternetMessageID)
	if input.Importance != nil {
		if err := checkEnum("importance", *input.Importance, "low", "normal", "high"); err != nil {
			return err
		}
		i.Importance = strings.ToLower(*input.Importance)
	}
	if input.Inference != nil {
		if err := checkEnum("inferenceClassification", *input.Inference, "focused", "other"); err != nil {
			return err
		}
	}
	if input.Body == nil {
		return nil
	}
	if err := checkEnum("contentType", input.Body.ContentType, "text", "html"); err != nil {
		return err
	}
	i.Body = Body{ContentType: strings.ToLower(input.Body.ContentType), Content: input.Body.Content}
	setDefault(&i.Body.ContentType, "text")
	return nil
}

// applyProperties sets extended properties, by their normalized ids.
func (i *item) applyProperties(properties []Property) error {
	for _, p := range properties {
		id, err := normalizeProperty(p.ID)
		if err != nil {
			return err
		}
		n := 0
		for n < len(i.Properties) && i.Properties[n].ID != id {
			n++
		}
		if n == len(i.Properties) {
			i.Properties = append(i.Properties, Property{})
		}
		i.Properties[n] = Property{ID: id, Value: p.Value}
	}
	return nil
}

func setIf[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func addresses(recipients []recipient) []Address {
	list := make([]Address, len(recipients))
	for n, r := range recipients {
		list[n] = r.EmailAddress
	}
	return list
}

func (c *call) itemURL(i *item) string {
	return fmt.Sprintf("https://%s/v1.0/users('%s')/messages('%s')", c.r.Host, objectID(c.mailbox), c.visibleID(i))
}

// visibleID returns the item's id of the kind that the request uses.
func (c *call) visibleID(i *item) string {
	if c.immutable() {
		return i.ID
	}
	return i.mutableID
}
