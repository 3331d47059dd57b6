package graphmail

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
)

// progress is how far a message is on its way into Graph. A step with an effect outside is
// recorded before it is requested (wanted), its result after.
//
// Its JSON is the document that the queue keeps. Zero fields are left out, unknown fields
// are ignored, and times are RFC 3339 with a fraction.
type progress struct {
	Path         string    `json:"path,omitempty"`          // draft, mime or sendmail
	DraftWanted  bool      `json:"draft_wanted,omitempty"`  // a draft may exist, whether DraftID is known or not
	DraftID      string    `json:"draft_id,omitempty"`      // immutable id
	LateDraft    bool      `json:"late_draft,omitempty"`    // another draft was requested, was not found, and may still appear
	Attached     int       `json:"attached,omitempty"`      // attachments that the draft has
	UploadURL    string    `json:"upload_url,omitempty"`    // session of attachment number Attached; it carries a token: never show it
	UploadOffset int64     `json:"upload_offset,omitempty"` // bytes of that attachment that Graph has
	UploadSize   int64     `json:"upload_size,omitempty"`   // of that attachment
	Send         sendState `json:"send,omitempty"`
	SendWanted   time.Time `json:"send_wanted,omitzero"` // when the send was last requested
	Settle       time.Time `json:"settle,omitzero"`      // until then an item that still is a draft may leave by itself
	Whole        bool      `json:"whole,omitempty"`      // a file could not be attached: the message goes in one request
	Unexplained  time.Time `json:"unexplained,omitzero"` // when a refusal came first that graph cannot explain
	Lost         []uint32  `json:"lost,omitempty"`       // losses that were reported, as hashes
	Fallback     fallback  `json:"fallback,omitempty"`
	Restored     bool      `json:"restored,omitempty"` // the queue was restored: it may have been sent since
	Redirect     string    `json:"redirect,omitempty"` // who gets the message in place of its recipients

	// What Graph has refused, and what is done about it. It outlives the draft.
	Refused []refusedRecipient `json:"refused,omitempty"`  // recipients that do not get the message
	Omit    []omission         `json:"omit,omitempty"`     // parts that the draft goes without
	Tried   bool               `json:"tried,omitempty"`    // leaving out parts has not helped
	AsDraft bool               `json:"as_draft,omitempty"` // it goes as a draft, as it was refused in MIME

	// About the draft.
	Replace bool `json:"replace,omitempty"` // it was refused at the send: it is to be removed and another made
	Unsent  bool `json:"unsent,omitempty"`  // that it has not been sent all the same was seen after Replace
	Adopted bool `json:"adopted,omitempty"` // it was found by its Message-ID, so that it may be another's: never remove it
}

// fallback is how far a message is on its way to leave under another From than its own.
type fallback string

const (
	fallbackNone   fallback = ""       // it has its own From
	fallbackWanted fallback = "wanted" // Exchange has refused that, and a draft with it may be left
	fallbackMade   fallback = "made"   // no draft with it is left
)

// sendState is what is known of the send.
type sendState string

const (
	sendNone      sendState = ""          // it was never requested
	sendRequested sendState = "requested" // it was requested, and may have happened
	sendRefused   sendState = "refused"   // it was requested and refused: it has not happened
	sendAccepted  sendState = "accepted"  // it has happened; what may remain is to remove the copy
)

var errProgress = errors.New("read the recorded progress")

// readProgress reads what the queue has recorded. Every claim sets Leftover in its own
// commit: if nothing else explains it, a claim ended without a record, and may have
// requested a draft.
func readProgress(q queue.Progress) (p progress, err error) {
	if len(q.Document) > 0 {
		err = json.Unmarshal(q.Document, &p)
	}
	if err != nil {
		return progress{}, fmt.Errorf("%w: %w", errProgress, err)
	}
	if p.Send == sendNone && !p.SendWanted.IsZero() {
		p.Send = sendRequested // whatever wrote that: a send must not be repeated unseen
	}
	p.DraftWanted = p.DraftWanted || q.Leftover && !p.leftover()
	p.Restored = p.Restored || q.InDoubt && !p.requested() // see queue.Controller's Restored
	return p, nil
}

// record returns what the queue is to record.
func (p progress) record() queue.Progress {
	document, _ := json.Marshal(p) // texts, numbers and times before the year 10000
	return queue.Progress{Document: document, Leftover: p.leftover(), InDoubt: p.requested() || p.Restored}
}

// leftover reports whether a draft would remain if the message ended or were deleted now.
// An anonymous draft is known to be the message's by its id alone.
func (p progress) leftover() bool {
	if p.LateDraft || p.Send == sendAccepted || p.Adopted {
		return p.LateDraft
	}
	return p.DraftID != "" || p.DraftWanted && !p.anonymous() && p.Path != pathSendMail
}

// anonymous reports whether the draft does not carry the queue ID. Then it can be found by
// its Message-ID only, and another message may look the same.
func (p progress) anonymous() bool { return p.Path == pathMIME || slices.Contains(p.Omit, omitQueueID) }

// requested reports whether the message may have been or was sent.
func (p progress) requested() bool { return p.Send == sendRequested || p.Send == sendAccepted }

// doubt returns whether the message may have been sent, as far as that is known now.
func (p progress) doubt(now time.Time) delivery.Doubt {
	switch {
	case p.Send == sendAccepted, p.Send == sendRequested && now.Before(p.Settle):
		return delivery.Watched
	case p.Send == sendRequested, p.Restored:
		return delivery.InDoubt
	}
	return delivery.NotSent
}

// resume corrects the times that another process recorded. How long the relay was stopped
// is known from the wall clock alone, which may have been set meanwhile: a send that was
// requested before this process started is watched for the length of settle from then. A
// time that lies ahead was recorded by a clock that was wrong.
func (p *progress) resume(now, started time.Time, settle time.Duration) {
	if by := p.SendWanted.Sub(now); by > 0 {
		p.SendWanted, p.Settle = now, p.Settle.Add(-by)
	}
	if p.Unexplained.After(now) {
		p.Unexplained = now
	}
	if end := started.Add(settle); p.Send == sendRequested && p.SendWanted.Before(started) && p.Settle.Before(end) {
		p.Settle = end
	}
}

// restart goes back to the beginning. The draft so far is no longer the message's.
func (p *progress) restart(path string) {
	*p = progress{Path: path, LateDraft: p.LateDraft, Whole: p.Whole, Unexplained: p.Unexplained, Lost: p.Lost, Fallback: p.Fallback,
		Refused: p.Refused, Omit: p.Omit, Tried: p.Tried, AsDraft: p.AsDraft, Redirect: p.Redirect}
}

// draftMayAppear notes that a draft was requested that is not known and may appear later.
// An anonymous one could then not be distinguished from others.
func (p *progress) draftMayAppear() {
	p.LateDraft = p.LateDraft || p.Path == pathDraft && !p.anonymous()
}

// draftVanished starts anew after the draft was not found, which may only be late.
func (p *progress) draftVanished() {
	p.draftMayAppear()
	p.restart(p.Path)
}

// filesAttached notes that the draft has the first n attachments.
func (p *progress) filesAttached(n int) {
	p.Attached = n
	p.endSession()
}

// startSession notes an upload session for the next attachment.
func (p *progress) startSession(url string, size int64) {
	p.UploadURL, p.UploadOffset, p.UploadSize = url, 0, size
}

// endSession forgets the upload session: the next one starts at the beginning.
func (p *progress) endSession() { p.UploadURL, p.UploadOffset, p.UploadSize = "", 0, 0 }

// requestSend notes that the send is about to be requested. An item that is still a draft
// after settle has not been sent.
func (p *progress) requestSend(now, settle time.Time) {
	p.Send, p.SendWanted, p.Settle = sendRequested, now, settle
}

// doubtSend notes that a requested send may happen until settle, whatever was answered.
func (p *progress) doubtSend(settle time.Time) {
	if p.Send != sendNone {
		p.Send, p.Settle = sendRequested, settle
	}
}

// refuseSend notes that a requested send has clearly been refused.
func (p *progress) refuseSend() {
	if p.Send != sendNone {
		p.Send, p.Settle = sendRefused, p.SendWanted
	}
}

// forgetSend notes that no send was begun, of a message that has no draft to look up.
func (p *progress) forgetSend() { p.Send, p.SendWanted, p.Settle = sendNone, time.Time{}, time.Time{} }

// refusedFor returns for how long the message has been refused without explanation. The
// first refusal is recorded.
func (p *progress) refusedFor(now time.Time) time.Duration {
	if p.Unexplained.IsZero() {
		p.Unexplained = now
	}
	return now.Sub(p.Unexplained)
}

// acceptSend notes that the message is sent.
func (p *progress) acceptSend() { p.Send = sendAccepted }

// Steps is what an operator is shown of a message's progress.
type Steps struct {
	Path       string    // draft, mime or sendmail; empty: not chosen yet
	DraftID    string    // empty: none is known
	Attached   int       // attachments that the draft has
	Uploaded   int64     // bytes of the next attachment that Graph has, of an upload under way
	UploadSize int64     // of that attachment; 0: no upload is under way, or it is not known
	SendWanted time.Time // when the send was last requested; zero: not yet
	Settle     time.Time // until then a send that was not answered is watched
	Refused    []string  // recipients that Graph refuses, and so do not get the message
}

// StepsOf returns the steps that are recorded in p, the zero Steps if it cannot be read.
func StepsOf(p queue.Progress) Steps {
	r, err := readProgress(p)
	if err != nil {
		return Steps{}
	}
	s := Steps{Path: r.Path, DraftID: r.DraftID, Attached: r.Attached, Uploaded: r.UploadOffset, UploadSize: r.UploadSize, SendWanted: r.SendWanted, Settle: r.Settle}
	for _, x := range r.Refused {
		s.Refused = append(s.Refused, x.Address)
	}
	return s
}
