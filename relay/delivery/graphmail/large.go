package graphmail

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// noUploads is the error for a file that needs an upload session where there are none.
type noUploads string

func (n noUploads) Error() string { return string(n) }

const errNoUploads = noUploads("a file of 3 MB or more needs an upload session, which the cloud does not have, or uploads: off forbids")

// TooLarge returns the name and the size of the first file that cannot be sent without upload
// sessions, of a message that goes as a draft; otherwise "" and 0.
func TooLarge(m *mime.Message) (name string, size int64) {
	if m.Kind != mime.KindOrdinary {
		return "", 0
	}
	for _, f := range attachments(m) {
		if isTooLarge(f) {
			return f.Name, f.Size
		}
	}
	return "", 0
}

// isLarge reports whether a file needs an upload session, as far as is documented.
func isLarge(f graph.Attachment) bool { return f.Size >= graph.MaxPostAttachment }

// isTooLarge reports whether a file fits nowhere but into an upload session.
func isTooLarge(f graph.Attachment) bool { return isLarge(f) && !f.MayFit() }

// planLarge changes the plan of a message with large files if they cannot be uploaded.
func (t *transfer) planLarge(m *mime.Message, s stored, rec queue.Record, signed bool) error {
	p := t.plan
	if p.path != pathDraft || !slices.ContainsFunc(p.files, isLarge) {
		return nil
	}
	p.inOne = t.planWhole(m, s, rec, signed)
	missing := t.uploadsMissing()
	n := slices.IndexFunc(p.files, isTooLarge)
	switch {
	case p.inOne != nil && (t.p.Whole || missing != nil && n >= 0):
		t.plan = p.inOne
	case missing != nil && n >= 0:
		return fmt.Errorf("attachment %d of %d (%d bytes): %w", n+1, len(p.files), p.files[n].Size, missing)
	}
	return nil
}

// planWhole returns the plan to send the message in one request, or nil if none can hold it.
// MIME comes first, since its draft can be looked for. It has no place for a signature of
// the relay's.
func (t *transfer) planWhole(m *mime.Message, s stored, rec queue.Record, signed bool) *plan {
	whole := &plan{messageID: t.plan.messageID, stretch: true}
	if !signed && whole.asMIME(m, s, rec, &t.o.cfg) == nil {
		return whole
	}
	if mail := (graph.Mail{Message: t.plan.draft, Attachments: t.plan.files}); mail.MayFit() {
		p := *t.plan
		p.path = pathSendMail
		return &p
	}
	return nil
}

// sendWhole goes back to the plan if the message can do without the upload session that was
// refused.
func (t *transfer) sendWhole(refused error) bool {
	var none noUploads
	if t.plan.inOne == nil || !graph.UploadsRefused(refused) && !errors.As(refused, &none) {
		return false
	}
	t.noteRefused("goes in one request", refused.Error(), refused)
	t.plan, t.p.Whole = nil, true
	return true
}

// askAgainAfter is the part of RetryUnexplained for which a refusal is believed that may pass.
const askAgainAfter = 6

// uploadsMissing returns why no upload session is to be asked for, nil if one is.
func (t *transfer) uploadsMissing() error {
	if t.connection().NoUploads {
		return errNoUploads
	}
	known, ok := t.o.lacks.of(actionUpload, t.Message.Lane)
	patience := t.o.cfg.RetryUnexplained
	switch {
	case !ok:
		return nil
	case known.sure(patience):
		return explained(known.err)
	case isExplained(known.err), time.Since(known.last) < patience/askAgainAfter:
		return known.err
	}
	return nil
}

// uploadRefused notes that Graph has refused an upload session, where that does not concern
// this file alone. An owner is refused in another one's mailbox (known-issues).
func (t *transfer) uploadRefused(err error) error {
	var e *graph.Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusForbidden && t.connection().Delegated:
		err = explained(err)
		t.o.lacks.add(actionUpload, t.Message.Lane, err)
	case graph.ActionMissing(err):
		t.o.lacks.add(actionUpload, everywhere(t.Message.Lane), err)
	}
	return err
}

func isExplained(err error) bool {
	var e *graph.Error
	return errors.As(err, &e) && !e.Unexplained
}

// explained returns a refusal as one that is final at once.
func explained(err error) error {
	var e *graph.Error
	if !errors.As(err, &e) {
		return err
	}
	known := *e
	known.Unexplained = false
	return &known
}
