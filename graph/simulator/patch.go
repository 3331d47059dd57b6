package simulator

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Properties that "Update message" lets a client set, at any time and on drafts only.
// [documented]
var (
	patchable = []string{"bccRecipients", "ccRecipients", "toRecipients", "categories", "flag", "from", "sender", "importance",
		"inferenceClassification", "isRead", "isReadReceiptRequested", "isDeliveryReceiptRequested",
		"singleValueExtendedProperties", "multiValueExtendedProperties"}
	patchableDraft = []string{"body", "subject", "replyTo", "internetMessageId"}
)

// patch answers "Update message". Attachments in it are lost without a word [reported].
func (c *call) patch() (response, error) {
	body, err := c.readJSON(c.sim.options.Limits.Request)
	if err != nil {
		return response{}, err
	}
	var input messageInput
	if err := decode(body, "message", &input); err != nil {
		return response{}, err
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(body, &names); err != nil {
		return response{}, badRequest("RequestBodyRead", "%v", err)
	}
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := c.find()
	if err != nil {
		return response{}, err
	}
	for name := range names {
		draftOnly := slices.Contains(patchableDraft, name)
		if draftOnly && i.Submitted || !draftOnly && !slices.Contains(patchable, name) && name != "attachments" {
			return response{}, badRequest("ErrorInvalidPropertySet", "The property '%s' cannot be set on this item.", name)
		}
	}
	if err := s.change(i, input); err != nil {
		return response{}, err
	}
	shown, _ := parseQuery(nil)
	return jsonResponse(http.StatusOK, c.messageJSON(i, shown)), nil
}

// change applies all of the input or none of it. The caller holds s.mu.
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
