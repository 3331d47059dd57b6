package delivery

import (
	"time"

	"graphrelay/relay/queue"
)

// progress is what is known of a message's way into Graph. A step with an effect
// outside is recorded before it is requested (wanted), its result after. The JSON names
// are those of the document that the queue is to keep: zero fields are left out, and
// unknown fields are ignored. Times are RFC 3339 with a fraction.
type progress struct {
	Path         string    `json:"path,omitempty"`          // draft, mime or sendmail
	DraftWanted  bool      `json:"draft_wanted,omitempty"`  // a draft may exist, whether DraftID is known or not
	DraftID      string    `json:"draft_id,omitempty"`      // immutable id
	LateDraft    bool      `json:"late_draft,omitempty"`    // another draft was requested, was not found, and may still appear
	Attached     int       `json:"attached,omitempty"`      // attachments that the draft has
	UploadURL    string    `json:"upload_url,omitempty"`    // session of attachment number Attached; it carries a token: never show it
	UploadOffset int64     `json:"upload_offset,omitempty"` // bytes of that attachment that Graph has
	SendWanted   time.Time `json:"send_wanted,omitzero"`    // when the send was last requested; zero: not yet
	Settle       time.Time `json:"settle,omitzero"`         // until then an item that still is a draft may leave by itself
	Accepted     bool      `json:"accepted,omitempty"`      // it was sent; only its copy is still to be removed
}

// inDoubt reports whether the message may already have been sent: it was, or a send was
// requested and nothing has clearly refused it.
func (p progress) inDoubt() bool { return p.Accepted || p.Settle.After(p.SendWanted) }

// mayLeaveDraft reports whether a draft may remain if the message were deleted now.
func (p progress) mayLeaveDraft() bool { return p.DraftWanted || p.LateDraft }

// readProgress reads what the queue has recorded. A claim records in the same commit
// that a draft may exist from then on, so a message whose claim ended without a word
// comes back with DraftWanted although no worker wrote it. Once the queue keeps a
// document, whose fact Leftover the claim then sets:
//
//	DraftWanted = draft_wanted || Leftover && !late_draft
func readProgress(p queue.Progress) (progress, error) {
	return progress{
		Path: p.Path, DraftWanted: p.DraftWanted, DraftID: p.DraftID, LateDraft: p.Stray,
		Attached: p.Attached, UploadURL: p.UploadURL, UploadOffset: p.UploadOffset,
		SendWanted: p.SendWanted, Settle: p.Settle, Accepted: p.Accepted,
	}, nil
}

// record returns what the queue is to record. Once the queue keeps a document, its facts
// are Leftover: mayLeaveDraft, and InDoubt: inDoubt.
func (p progress) record() queue.Progress {
	return queue.Progress{
		Path: p.Path, DraftWanted: p.DraftWanted, DraftID: p.DraftID, Stray: p.LateDraft,
		Attached: p.Attached, UploadURL: p.UploadURL, UploadOffset: p.UploadOffset,
		SendWanted: p.SendWanted, Settle: p.Settle, Accepted: p.Accepted,
	}
}

// Steps is what an operator is shown of a message's progress.
type Steps struct {
	Path       string    // draft, mime or sendmail; empty: not chosen yet
	DraftID    string    // empty: none is known
	Attached   int       // attachments that the draft has
	SendWanted time.Time // when the send was last requested; zero: not yet
	Settle     time.Time // until then a send that was not answered is watched
}

// StepsOf returns the steps that are recorded in p; the zero Steps where it cannot be
// read.
func StepsOf(p queue.Progress) Steps {
	r, err := readProgress(p)
	if err != nil {
		return Steps{}
	}
	return Steps{Path: r.Path, DraftID: r.DraftID, Attached: r.Attached, SendWanted: r.SendWanted, Settle: r.Settle}
}
