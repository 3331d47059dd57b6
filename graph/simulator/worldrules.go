package simulator

import (
	"bytes"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// listed reports whether the list of a world has the lower-case address.
func listed(list []string, address string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return l == "*" || strings.EqualFold(l, address) })
}

// checkFilter refuses a $filter on messages, in a folder or in the whole mailbox.
func (w *World) checkFilter(f filter, folder string) error {
	status := w.FilterStatus
	if status == 0 && folder == "" {
		status = w.WideFilterStatus
	}
	switch {
	case status == 0 || len(f) == 0:
		return nil
	case status == http.StatusBadRequest:
		return badRequest("InefficientFilter", "The restriction or sort order is too complex for this operation.")
	case status == http.StatusNotImplemented:
		return refuse(status, "NotImplemented", "The query is not implemented.")
	}
	return refuse(status, "UnknownError", "")
}

// finds reports whether a list with this filter has the item.
func (w *World) finds(f filter, i *item) bool {
	if w.FilterIgnored {
		return true
	}
	indexed := slices.ContainsFunc(f, func(c condition) bool { return c.extended || c.property == "internetMessageId" })
	if indexed && time.Since(i.Created) < w.FilterLag {
		return false
	}
	return f.matches(i)
}

// filterProperties removes the properties that a create loses, and refuses others.
func (w *World) filterProperties(input *messageInput) error {
	if len(w.DroppedProperties)+len(w.RefusedProperties) == 0 {
		return nil
	}
	fields := reflect.ValueOf(input).Elem()
	for n := range fields.NumField() {
		field, name := fields.Field(n), fields.Type().Field(n).Tag.Get("json")
		switch {
		case field.IsZero():
		case slices.Contains(w.RefusedProperties, name):
			return w.refusedProperty("The property '%s' does not exist on type 'microsoft.graph.message'. Make sure to only use property names that are defined by the type.", name)
		case slices.Contains(w.DroppedProperties, name):
			field.SetZero()
		}
	}
	return nil
}

// filterExtended removes the extended properties that a create loses, and refuses others.
func (w *World) filterExtended(list []Property) ([]Property, error) {
	is := func(names []string, id string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			known, err := normalizeProperty(name)
			return err == nil && known == id
		})
	}
	for _, p := range list {
		if is(w.RefusedProperties, p.ID) {
			return nil, w.refusedProperty("The extended property '%s' is not supported.", p.ID)
		}
	}
	return slices.DeleteFunc(list, func(p Property) bool { return is(w.DroppedProperties, p.ID) }), nil
}

func (w *World) refusedProperty(format, name string) error {
	if w.RefusedUnnamed {
		return badRequest("ErrorInvalidRequest", "The request is invalid.")
	}
	return badRequest("RequestBodyRead", format, name)
}

// checkMIME refuses a message with a part of a type that the tenant does not accept.
func (w *World) checkMIME(raw []byte) error {
	for _, kind := range w.RefusedMIME {
		if bytes.Contains(bytes.ToLower(raw), []byte("content-type: "+strings.ToLower(kind))) {
			return badRequest("ErrorMimeContentInvalid", "Invalid MIME content.")
		}
	}
	return nil
}

// checkResolved refuses a recipient that cannot be resolved.
func (w *World) checkResolved(recipients []string) error {
	for _, address := range recipients {
		if listed(w.Unresolved, address) {
			return unresolved(address)
		}
	}
	return nil
}

func unresolved(address string) error {
	return badRequest("ErrorInvalidRecipients",
		`At least one recipient isn't valid., Recipient "%s" isn't resolved. All recipients must be resolved before a message can be submitted.`, address)
}

// checkUserFilter refuses a $filter on users.
func (w *World) checkUserFilter(conditions []userCondition) error {
	if w.NoUserOr && len(conditions) > 1 {
		return badRequest("Request_UnsupportedQuery", "Unsupported Query.")
	}
	for _, c := range conditions {
		if w.UserValueLimit > 0 && len(c.value) > w.UserValueLimit {
			return badRequest("Request_UnsupportedQuery", "The value of property '%s' is too long for a filter.", c.property)
		}
	}
	return nil
}

// sharedScopes returns the scopes that a mailbox needs that is not the signer's own.
func (w *World) sharedScopes(scopes []string) []string {
	var shared []string
	for _, scope := range scopes {
		shared = append(shared, scope+".Shared")
	}
	if w.SharedScopes {
		return shared
	}
	return append(shared, scopes...)
}

// missing refuses an action that the cloud lacks.
func (w *World) missing(action string) error {
	status := w.MissingStatus
	setDefault(&status, http.StatusBadRequest)
	return refuse(status, "BadRequest", "Resource not found for the segment '%s'.", action)
}

// isForeign reports whether the token is that of another mailbox's owner.
func (c *call) isForeign() bool { return c.user != "" && c.user != c.mailbox }

// checkSessions refuses the creation of an upload session.
func (c *call) checkSessions() error {
	switch w := c.sim.world(); {
	case w.NoUploadSessions:
		return w.missing("createUploadSession")
	case w.NoSharedSessions && c.isForeign():
		return accessDenied()
	}
	return nil
}

// checkGrowth refuses more bytes for a draft than the tenant allows. The caller holds s.mu.
func (s *Simulator) checkGrowth(i *item, more int64) error {
	if w := s.world(); w.SizeAtAttachment && w.MessageSize > 0 && i.size()+more > w.MessageSize {
		return refuse(http.StatusRequestEntityTooLarge, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
	}
	return nil
}

// checkRangeGrowth is checkGrowth for the next range of a session, whose mutex the caller
// holds.
func (s *Simulator) checkRangeGrowth(session *uploadSession, length int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkGrowth(session.item, session.received+length)
}

// checkMailbox refuses a call for what the world says of its mailbox.
func (c *call) checkMailbox() error {
	w := c.sim.world()
	key := strings.ToLower(c.r.PathValue("mailbox"))
	switch {
	case listed(w.Elsewhere, c.mailbox):
		return refuse(http.StatusNotFound, "ResourceNotFound", "Resource could not be discovered.")
	case w.AddressIsNoKey && !isGUID(key) && key != c.sim.upn(c.mailbox):
		return refuse(http.StatusNotFound, "ErrorInvalidUser", "The requested user '%s' is invalid.", key)
	case listed(w.Moving, c.mailbox) && (w.MoveDuration == 0 || time.Since(w.since) < w.MoveDuration):
		status := w.MoveStatus
		setDefault(&status, http.StatusBadRequest)
		return refuse(status, "ErrorMailboxMoveInProgress", "Mailbox move in progress. Try again later., The mailbox is being moved.")
	case c.user == "" && c.isDenied(w):
		if w.DeniedByPolicy {
			return refuse(http.StatusForbidden, "ErrorAccessDenied", "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings.")
		}
		return accessDenied()
	}
	return nil
}

// refusalKey is an application and a mailbox.
type refusalKey struct{ app, mailbox string }

// refusal is a refusal that Exchange keeps.
type refusal struct {
	denied time.Time // when the mailbox was found denied
	asked  time.Time // last
}

// isDenied reports whether the application's access to the mailbox is refused, and keeps a
// refusal alive. See World.PermissionCache.
func (c *call) isDenied(w *settings) bool {
	s, key, now := c.sim, refusalKey{c.app, c.mailbox}, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	held, ok := s.refusals[key]
	switch {
	case listed(w.Denied, c.mailbox):
		held.denied = now
	case !ok || now.Sub(held.asked) >= w.PermissionCache || now.Sub(held.denied) >= 4*w.PermissionCache:
		delete(s.refusals, key)
		return false
	}
	held.asked = now
	s.refusals[key] = held
	return true
}

// rewriteFrom replaces the address and the display name in From as Exchange does. The caller
// holds s.mu.
func (s *Simulator) rewriteFrom(i *item) {
	w := s.world()
	from := *i.From
	owner := strings.ToLower(from.Address)
	if u, ok := s.aliasOwner(owner); ok {
		owner = strings.ToLower(u.Address)
		if w.RewriteAlias {
			from.Address = u.Address
		}
	}
	if w.ReplaceFromName {
		from.Name = s.displayName(owner)
	}
	if i.Sender == i.From {
		i.Sender = &from
	}
	i.From = &from
}

// resolveRecipients sets the recipients of a new item as the directory has them. The caller
// holds s.mu.
func (s *Simulator) resolveRecipients(i *item) {
	if !s.world().ResolveRecipients {
		return
	}
	for _, list := range [][]Address{i.To, i.Cc, i.Bcc} {
		for n := range list {
			u, ok := s.userOf(strings.ToLower(list[n].Address))
			if ok {
				list[n] = Address{Name: s.displayName(strings.ToLower(u.Address)), Address: u.Address}
			}
		}
	}
}

// changeSent changes an item that has moved to Sent Items. The caller holds s.mu.
func (s *Simulator) changeSent(i *item) {
	w := s.world()
	if w.NewIDOnSend {
		s.renew(i)
	}
	if w.NewMessageIDOnSend {
		i.InternetMessageID = newInternetMessageID()
	}
	if w.SendLosesProperties {
		i.Properties = nil
	}
}

// pace returns for how long a message that is accepted now is carried over. The caller holds
// s.mu.
func (s *Simulator) pace(box *mailbox, now time.Time) time.Duration {
	limit := s.world().Pace
	if limit == 0 {
		return 0
	}
	leaves := now
	if n := len(box.departures); n >= limit {
		box.departures = box.departures[n-limit:]
		if next := box.departures[0].Add(time.Minute); next.After(now) {
			leaves = next
		}
	}
	box.departures = append(box.departures, leaves)
	return leaves.Sub(now)
}
