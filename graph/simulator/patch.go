package simulator

import (
	"encoding/json"
	"net/http"
	"slices"
)

// The properties that can be set with "Update message": always, and on drafts only.
// [documented]
var (
	patchable = []string{"bccRecipients", "ccRecipients", "toRecipients", "categories", "flag", "from", "sender", "importance",
		"inferenceClassification", "isRead", "isReadReceiptRequested", "isDeliveryReceiptRequested",
		"singleValueExtendedProperties", "multiValueExtendedProperties"}
	patchableDraft = []string{"body", "subject", "replyTo", "internetMessageId"}
)

// patch serves "Update message". It ignores attachments, as Graph does [reported].
func (c *call) patch() (response, error) {
	var input messageInput
	body, err := c.readJSON(c.sim.options.Limits.Request, "message", &input)
	if err != nil {
		return response{}, err
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(body, &names); err != nil {
		return response{}, badRequest("RequestBodyRead", "%v", err)
	}
	var a response
	err = c.withItem(func(i *item) error {
		if err := i.checkPatch(names); err != nil {
			return err
		}
		if err := c.sim.change(i, input); err != nil {
			return err
		}
		a = jsonResponse(http.StatusOK, c.messageJSON(i, queryOptions{}))
		return nil
	})
	return a, err
}

// checkPatch refuses properties that cannot be set on the item.
func (i *item) checkPatch(names map[string]json.RawMessage) error {
	for name := range names {
		draftOnly := slices.Contains(patchableDraft, name)
		if draftOnly && i.Submitted || !draftOnly && !slices.Contains(patchable, name) && name != "attachments" {
			return badRequest("ErrorInvalidPropertySet", "The property '%s' cannot be set on this item.", name)
		}
	}
	return nil
}

// change applies the input to the item. If it returns an error, it changed nothing. The
// caller holds s.mu.
func (s *Simulator) change(i *item, input messageInput) error {
	changed := *i
	changed.Message = i.clone()
	if err := changed.apply(input); err != nil {
		return err
	}
	s.content.release(int64(len(i.Body.Content)))
	if !s.content.reserve(int64(len(changed.Body.Content))) {
		changed.Body.Content, changed.BodyDropped = "", true
	}
	i.Message = changed.Message
	i.markModified()
	return nil
}
