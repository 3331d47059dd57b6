package graphmail

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"graphrelay/graph"
)

// attacher adds a message's files to its draft.
type attacher struct {
	*recorder
	t       *transfer
	mailbox mailbox
	files   []graph.Attachment
	fresh   newDraft
}

// The history has the first files of a message, each hundredth and the last.
const firstNoted, everyNoted = 20, 100

// attachAll adds the files that the draft does not have yet, one after another: parallel
// requests conflict in Exchange.
func (a *attacher) attachAll(ctx context.Context) error {
	for a.p.Attached < len(a.files) {
		n, f := a.p.Attached+1, a.files[a.p.Attached]
		reply, err := a.attach(ctx, f)
		if a.fresh.mayAppear(ctx, err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("attachment %d of %d (%d bytes): %w", n, len(a.files), f.Size, err)
		}
		a.p.filesAttached(n)
		if n <= firstNoted || n%everyNoted == 0 || n == len(a.files) {
			a.done("attached", fmt.Sprintf("%d of %d, %d bytes", n, len(a.files), f.Size), reply)
		} else {
			a.Responded()
		}
		if err := a.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

// attach adds a file by one request or by an upload session. Where the line between the two
// is, 3,000,000 bytes or 3 MiB, is not documented: what one of them refuses for its size,
// the other may accept.
func (a *attacher) attach(ctx context.Context, f graph.Attachment) (graph.Reply, error) {
	var refused error
	if f.Size < graph.MaxPostAttachment && a.p.UploadURL == "" {
		reply, err := a.mailbox.PostAttachment(ctx, a.p.DraftID, f)
		if !graph.MaybeTooLarge(err) {
			return reply, err
		}
		refused = err
	}
	missing := a.t.uploadsMissing()
	if missing == nil {
		reply, err := a.upload(ctx, f)
		switch {
		case graph.UploadsRefused(err):
			missing = a.t.uploadRefused(err)
		case err == nil:
			a.readBack(ctx, f)
			return reply, nil
		case !graph.TooSmallForSession(err):
			return reply, err
		}
	}
	switch {
	case refused != nil: // neither accepts it: the first refusal explains more
		return graph.Reply{}, refused
	case missing != nil && !f.MayFit():
		return graph.Reply{}, missing
	}
	reply, err := a.mailbox.PostAttachment(ctx, a.p.DraftID, f)
	if missing != nil && graph.MaybeTooLarge(err) {
		err = missing
	}
	return reply, err
}

// readBack reports what a file has lost in its upload session: its type, or its place in the
// text (reported, msgraph-sdk-dotnet #2941, microsoft-graph-docs #9140). Attachments cannot be
// changed afterwards, and what goes by session fits into no other request. If they cannot be
// read, nothing is known to be lost.
func (a *attacher) readBack(ctx context.Context, f graph.Attachment) {
	list, _, err := a.mailbox.Attachments(ctx, a.p.DraftID)
	if err != nil {
		return
	}
	same := func(s graph.Stored) bool { return s.Name == f.Name }
	whole := func(s graph.Stored) bool {
		return same(s) && s.Inline == f.Inline && s.HasContentID(f.ContentID) && strings.EqualFold(s.ContentType, f.ContentType)
	}
	i := slices.IndexFunc(list, same)
	if i < 0 || slices.ContainsFunc(list, whole) {
		return
	}
	if list[i].Inline != f.Inline {
		a.lose(LossAttachmentField, f.Name+" is no inline picture any more")
	}
	if !list[i].HasContentID(f.ContentID) {
		a.lose(LossAttachmentField, f.Name+" has lost its Content-ID "+f.ContentID+", by which the text shows it")
	}
	if !strings.EqualFold(list[i].ContentType, f.ContentType) {
		a.lose(LossAttachmentField, f.Name+" is "+list[i].ContentType+" instead of "+f.ContentType)
	}
}

// upload sends the file range by range, from where the session is.
func (a *attacher) upload(ctx context.Context, f graph.Attachment) (graph.Reply, error) {
	if err := a.openSession(ctx, f); err != nil {
		return graph.Reply{}, err
	}
	src := source{file: f}
	for {
		offset := a.p.UploadOffset
		if offset >= f.Size {
			return graph.Reply{}, a.endSession(sessionError("it did not end after %d bytes", f.Size))
		}
		next, reply, err := a.uploadRange(ctx, &src, offset)
		switch {
		case err != nil:
			return reply, err
		case next.Done:
			return reply, a.checkUploaded(ctx, f, reply)
		case next.Next <= offset || next.Next > offset+graph.RangeBytes: // there would be a hole, or no end
			return reply, a.endSession(sessionError("it was sent bytes from %d and expects byte %d", offset, next.Next))
		}
		a.p.UploadOffset = next.Next
		a.done("uploaded", fmt.Sprintf("%d of %d bytes", next.Next, f.Size), reply)
		if err := a.save(ctx); err != nil {
			return reply, err
		}
	}
}

// uploadRange sends the file's next range. If that fails, the session is left for the next
// attempt to ask, unless it is over.
func (a *attacher) uploadRange(ctx context.Context, src *source, offset int64) (graph.UploadProgress, graph.Reply, error) {
	content, err := src.at(offset)
	if err != nil {
		return graph.UploadProgress{}, graph.Reply{}, err
	}
	r := graph.UploadRange{Content: content, Offset: offset, Length: min(graph.RangeBytes, src.file.Size-offset), Total: src.file.Size}
	next, reply, err := a.mailbox.PutRange(ctx, a.p.UploadURL, r)
	src.moved(r.Length)
	if graph.SessionLost(err) {
		err = a.endSession(err)
	}
	return next, reply, err
}

// checkUploaded counts the draft's files where the last range was not answered with the
// documented 201: a 200 has been seen for a file that was refused.
func (a *attacher) checkUploaded(ctx context.Context, f graph.Attachment, last graph.Reply) error {
	if last.Status == http.StatusCreated {
		return nil
	}
	n, _, err := a.mailbox.CountAttachments(ctx, a.p.DraftID)
	if err == nil && n != a.p.Attached+1 {
		err = a.endSession(sessionError("%d bytes were sent, the last answer was %d, and the draft has %d attachments", f.Size, last.Status, n))
	}
	return err
}

// openSession continues the recorded session if it answers how far it is, and otherwise
// starts another: Graph documents no such request for mail, and a session that never ends
// adds nothing. Uploads go to another host than Graph's, which may be out of reach alone.
func (a *attacher) openSession(ctx context.Context, f graph.Attachment) error {
	if a.p.UploadURL != "" {
		next, reply, err := a.mailbox.UploadState(ctx, a.p.UploadURL)
		switch {
		case err == nil && next < f.Size && next <= a.p.UploadOffset+graph.RangeBytes: // the last answer may have been lost
			a.p.UploadOffset = next
			a.done("upload resumed", fmt.Sprintf("from byte %d", next), reply)
			return a.save(ctx)
		case graph.TimedOut(err): // and it may never answer: the next attempt does not ask again
			return a.endSession(err)
		case graph.Inconclusive(err) && !graph.Unreachable(err):
			return err
		}
	}
	url, reply, err := a.mailbox.CreateUploadSession(ctx, a.p.DraftID, f)
	if graph.Unreachable(err) { // so is Graph itself: the session may still be good
		return err
	}
	if err != nil {
		return a.endSession(err)
	}
	a.t.o.lacks.works(actionUpload, a.t.Message.Lane)
	a.p.startSession(url, f.Size)
	a.done("upload session created", fmt.Sprintf("%d bytes", f.Size), reply)
	return a.save(ctx)
}

// endSession makes the next attempt start another session, and returns err. Whether the
// file is on the draft all the same is counted then.
func (a *attacher) endSession(err error) error {
	a.p.endSession()
	return err
}

func sessionError(format string, args ...any) error {
	return &graph.Error{Op: "upload", Class: graph.ClassTemporary, Reason: graph.ReasonSession, Message: fmt.Sprintf(format, args...)}
}

// source reads a file from any offset. It continues where it is if it can.
type source struct {
	file graph.Attachment
	r    io.Reader
	pos  int64
}

func (s *source) at(offset int64) (io.Reader, error) {
	if s.r != nil && s.pos == offset {
		return s.r, nil
	}
	s.r, s.pos = s.file.Open(), 0
	if _, err := io.CopyN(io.Discard, s.r, offset); err != nil {
		return nil, fmt.Errorf("read the attachment: %w", err)
	}
	s.pos = offset
	return s.r, nil
}

// moved notes that n bytes have been read.
func (s *source) moved(n int64) { s.pos += n }
