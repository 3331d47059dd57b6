package delivery

import (
	"encoding/json"
	"time"

	"graphrelay/relay/queue"
)

// progress is what is known of a message's way into Graph. A step with an effect
// outside is recorded before it is requested (wanted), its result after. The JSON names
// are those of the document that the queue keeps: zero fields are left out, and
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

// readProgress reads what the queue has recorded. A claim sets Leftover in its own
// commit, so a message whose claim ended without another record comes back with
// DraftWanted although no worker wrote it.
func readProgress(q queue.Progress) (p progress, err error) {
	if len(q.Document) > 0 {
		err = json.Unmarshal(q.Document, &p)
	}
	p.DraftWanted = p.DraftWanted || q.Leftover && !p.LateDraft
	return p, err
}

// record returns what the queue is to record.
func (p progress) record() queue.Progress {
	document, _ := json.Marshal(p) // texts, numbers and times before the year 10000
	return queue.Progress{Document: document, Leftover: p.mayLeaveDraft(), InDoubt: p.inDoubt()}
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
