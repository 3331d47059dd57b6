package graphmail

import (
	"context"
	"errors"

	"graphrelay/graph"
	"graphrelay/relay/delivery"
)

// recorder keeps the progress of a message and has it recorded.
type recorder struct {
	*delivery.Attempt
	p progress
	// draftRecorded: the queue has recorded that a draft may exist. The claim records
	// that too, but it cannot be seen where a late draft was recorded before.
	draftRecorded bool

	metrics *Metrics
	lost    map[Loss]string // what this attempt has reported, by kind
}

func newRecorder(a *delivery.Attempt, m *Metrics) (recorder, error) {
	p, err := readProgress(a.Progress)
	return recorder{Attempt: a, p: p, draftRecorded: p.DraftWanted || !p.LateDraft, metrics: m}, err
}

// end hands the progress to the Deliverer, which records it with the end of the attempt.
func (r *recorder) end() { r.Progress = r.p.record() }

// save records the progress and the notes so far durably. It fails if the claim was lost.
func (r *recorder) save(ctx context.Context) error {
	r.end()
	err := r.Save(ctx)
	if err == nil {
		r.draftRecorded = r.p.DraftWanted
	}
	return err
}

// note adds a line to the message's history that is about no request.
func (r *recorder) note(what, detail string) { r.Note(what, detail) }

// noteRefused is note about the request that failed with err, whose text belongs into detail.
func (r *recorder) noteRefused(what, detail string, err error) {
	var e *graph.Error
	if !errors.As(err, &e) {
		e = &graph.Error{}
	}
	r.NoteRequest(what, detail, e.RequestID, e.Took)
}

// done notes a request that Graph has carried out.
func (r *recorder) done(what, detail string, reply graph.Reply) {
	r.Responded()
	r.NoteRequest(what, detail, reply.RequestID, reply.Took)
}
