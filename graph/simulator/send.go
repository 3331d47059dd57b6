package simulator

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// The ways in which an item can be sent, as Delivery.Path shows them.
const (
	PathDraft    = "draft"    // a draft created from JSON, then send
	PathMIME     = "mime"     // a draft created from MIME, then send
	PathSendMail = "sendmail" // sendMail, with JSON or MIME
)

// send serves "message: send".
func (c *call) send() (response, error) {
	if err := c.checkEmptyBody(); err != nil {
		return response{}, err
	}
	err := c.withItem(func(i *item) error {
		if i.Submitted && c.sim.world().SendsAgain {
			c.sim.ledger.add(c.sim.delivery(i, c.app))
			c.sim.deliver(i)
			return nil
		}
		if i.Submitted { // which code Graph uses is not known [assumed]
			return badRequest("ErrorInvalidRequest", "The message was submitted before.")
		}
		if err := c.sim.checkSendable(i, c.sender()); err != nil {
			return err
		}
		c.sim.submit(i, c.app)
		return nil
	})
	return emptyResponse(http.StatusAccepted), err
}

// checkEmptyBody requires Content-Length: 0, as "message: send" does.
func (c *call) checkEmptyBody() error {
	if c.r.ContentLength < 0 || c.r.ContentLength == 0 && c.r.Header.Get("Content-Length") == "" {
		return refuse(http.StatusLengthRequired, "BadRequest", "The request must have Content-Length: 0.")
	}
	if c.r.ContentLength > 0 {
		return badRequest("BadRequest", "The request must have Content-Length: 0 and no body.")
	}
	return nil
}

// sendMail serves "user: sendMail".
func (c *call) sendMail() (response, error) {
	i, contents, err := c.readSendMail()
	if err != nil {
		return response{}, err
	}
	i.path = PathSendMail
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	i.Mailbox = c.mailbox
	if err := s.checkSendable(i, c.sender()); err != nil {
		return response{}, err
	}
	if err := c.store(i, contents); err != nil {
		return response{}, err
	}
	s.submit(i, c.app)
	return emptyResponse(http.StatusAccepted), nil
}

// readSendMail reads the message of a sendMail request, in JSON or MIME.
func (c *call) readSendMail() (*item, [][]byte, error) {
	if c.mediaType() == "text/plain" {
		return c.readMIME()
	}
	var input struct {
		Message         *messageInput
		SaveToSentItems any
	}
	if _, err := c.readJSON(c.sim.options.Limits.Request, "sendMail", &input); err != nil {
		return nil, nil, err
	}
	if input.Message == nil {
		return nil, nil, badRequest("ErrorInvalidRequest", "Required parameter 'Message' is missing.")
	}
	i, contents, err := c.sim.newItem(*input.Message)
	if err != nil {
		return nil, nil, err
	}
	// A sample of "user: sendMail" has the string "false".
	switch save := input.SaveToSentItems.(type) {
	case bool:
		i.noCopy = !save
	case string:
		i.noCopy = strings.EqualFold(save, "false")
	}
	return i, contents, nil
}

// sender returns the mailbox whose right to send as the address in From counts: that of the
// owner who signed in, or the mailbox of the call for an application.
func (c *call) sender() string {
	if c.user != "" {
		return c.user
	}
	return c.mailbox
}

// checkSendable refuses an item that Exchange refuses to send for the sender. The caller
// holds s.mu.
func (s *Simulator) checkSendable(i *item, sender string) error {
	recipients := i.Recipients()
	if len(recipients) == 0 || i.emptyGroup {
		return badRequest("ErrorInvalidRecipients",
			"At least one recipient isn't valid., A message can't be sent because it contains no recipients.")
	}
	for _, address := range recipients {
		if !isAddress(address) {
			return unresolved(address)
		}
	}
	if w := s.world(); !w.UnresolvedAtCreate || i.path == PathSendMail {
		if err := w.checkResolved(recipients); err != nil {
			return err
		}
	}
	from := i.Mailbox
	if i.From != nil {
		from = i.From.Address
	}
	for _, shown := range []*Address{{Address: from}, i.Sender} {
		if shown != nil && !s.maySendAs(sender, strings.ToLower(shown.Address)) {
			return refuse(http.StatusForbidden, "ErrorSendAsDenied",
				"The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account., Cannot submit message.")
		}
	}
	if size, limit := i.size(), s.world().MessageSize; size > s.options.Limits.Message || limit > 0 && size > limit {
		return badRequest("ErrorMessageSizeExceeded", "The message exceeds the maximum supported size., Cannot submit the message.")
	}
	return nil
}

// size returns the bytes of the body and the attachments.
func (i *item) size() int64 {
	size := int64(len(i.Body.Content))
	for _, a := range i.Attachments {
		size += a.Size
	}
	return size
}

// maySendAs reports whether the mailbox may send as the address.
func (s *Simulator) maySendAs(mailbox, address string) bool {
	if address == mailbox || s.aliasOf(mailbox, address) {
		return true
	}
	if s.options.SendAs == nil && !s.world().SendAsOnly {
		return s.mailboxExists(address)
	}
	return slices.ContainsFunc(s.options.SendAs[mailbox], func(allowed string) bool { return strings.EqualFold(allowed, address) })
}

// submit accepts an item for sending: it adds it to the ledger, and moves it to Sent Items
// after SendDelay and World.Pace. The caller holds s.mu.
func (s *Simulator) submit(i *item, app string) {
	now := time.Now()
	i.Submitted, i.Sent = true, now
	i.markModified()
	if i.From == nil {
		i.From = &Address{Address: i.Mailbox}
	}
	if i.Sender == nil { // with Send As both are the same: "Send mail from another user"
		i.Sender = i.From
	}
	s.rewriteFrom(i)
	s.ledger.add(s.delivery(i, app))
	i.flight = max(s.options.SendDelay, 0) + s.pace(i.box, now)
	s.returnMail(i)
	s.after(i.flight, i.box, func() { s.completeSend(i) })
}

// after calls do once d has passed, with the simulator locked: at once if d is 0, and not at
// all if there was a Reset meanwhile. The caller holds s.mu.
func (s *Simulator) after(d time.Duration, box *mailbox, do func()) {
	if d == 0 {
		do()
		return
	}
	s.underWay.Add(1)
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		defer s.underWay.Add(-1)
		if s.mailboxes[box.address] == box {
			do()
		}
	})
}

// UnderWay returns how many effects of requests are still to come: items that are on their way
// to Sent Items, and reports of mail that is returned.
func (s *Simulator) UnderWay() int { return int(s.underWay.Load()) }

// completeSend moves a submitted item to Sent Items, where it gets a new mutable id. The
// caller holds s.mu.
func (s *Simulator) completeSend(i *item) {
	switch {
	case i.deleted || !i.inFlight(): // deleted meanwhile
	case i.noCopy && !s.world().SavesAlways:
		s.deliver(i)
		s.remove(i)
	default:
		s.move(i, SentItems)
		s.changeSent(i)
		s.deliver(i)
		s.rememberSent(i)
	}
}

// isAddress reports whether Exchange takes the text for a mail address. That it takes quoted
// local parts, as Exchange does in SMTP, is assumed; Unresolved says otherwise.
func isAddress(address string) bool {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 {
		return false
	}
	local, domain := address[:at], address[at+1:]
	if len(local) > 2 && strings.HasPrefix(local, `"`) && strings.HasSuffix(local, `"`) {
		local = local[1 : len(local)-1]
		return !strings.ContainsAny(local, "\"\r\n") && !strings.ContainsAny(domain, " <>,;\r\n")
	}
	return !strings.ContainsAny(address, " <>,;\r\n")
}
