package delivery

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"graphrelay/graph"
)

// attachAll adds what the draft does not have yet, one file after another:
// parallel ones conflict in Exchange.
func (j *job) attachAll(ctx context.Context) error {
	for j.p.Attached < len(j.plan.files) {
		f := j.plan.files[j.p.Attached]
		reply, err := j.attach(ctx, f)
		if j.notYet(ctx, err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("attachment %d of %d (%d bytes): %w", j.p.Attached+1, len(j.plan.files), f.Size, err)
		}
		j.p.Attached++
		j.p.UploadURL, j.p.UploadOffset = "", 0
		if err := j.save(ctx, "attached", fmt.Sprintf("%d of %d, %d bytes", j.p.Attached, len(j.plan.files), f.Size), reply); err != nil {
			return err
		}
	}
	return nil
}

// attach chooses between one request and an upload session. Where the line runs,
// 3,000,000 bytes or 3 MiB, is not documented: what one side of it refuses for
// its size, the other one may take.
func (j *job) attach(ctx context.Context, f graph.Attachment) (graph.Reply, error) {
	var refused error
	if f.Size < graph.MaxPostAttachment && j.p.UploadURL == "" {
		reply, err := j.mailbox().PostAttachment(ctx, j.p.DraftID, f)
		if !graph.MaybeTooLarge(err) {
			return reply, err
		}
		refused = err
	}
	reply, err := j.upload(ctx, f)
	if !graph.TooSmallForSession(err) {
		return reply, err
	}
	if refused != nil { // neither way: the first refusal says more
		return graph.Reply{}, refused
	}
	return j.mailbox().PostAttachment(ctx, j.p.DraftID, f)
}

// upload sends the file range by range, from where the session stands.
func (j *job) upload(ctx context.Context, f graph.Attachment) (graph.Reply, error) {
	if err := j.ensureSession(ctx, f); err != nil {
		return graph.Reply{}, err
	}
	src := source{file: f}
	for {
		offset := j.p.UploadOffset
		if offset >= f.Size {
			return graph.Reply{}, j.dropSession(sessionError("it did not end after %d bytes", f.Size))
		}
		content, err := src.at(offset)
		if err != nil {
			return graph.Reply{}, err
		}
		n := min(graph.RangeBytes, f.Size-offset)
		progress, reply, err := j.mailbox().PutRange(ctx, j.p.UploadURL, graph.UploadRange{Content: content, Offset: offset, Length: n, Total: f.Size})
		if err != nil {
			return reply, j.uploadFailed(err)
		}
		if progress.Done {
			return reply, j.uploaded(ctx, f, reply)
		}
		if progress.Next <= offset {
			return reply, j.dropSession(sessionError("it was sent bytes from %d and still expects %d", offset, progress.Next))
		}
		src.moved(n)
		j.p.UploadOffset = progress.Next
		if err := j.save(ctx, "uploaded", fmt.Sprintf("%d of %d bytes", progress.Next, f.Size), reply); err != nil {
			return reply, err
		}
	}
}

// uploaded counts the draft's files where the last range was not answered with the
// documented 201: a 200 has been seen for what was refused.
func (j *job) uploaded(ctx context.Context, f graph.Attachment, last graph.Reply) error {
	if last.Status == http.StatusCreated {
		return nil
	}
	n, _, err := j.mailbox().CountAttachments(ctx, j.p.DraftID)
	if err == nil && n != j.p.Attached+1 {
		err = j.dropSession(sessionError("%d bytes were sent, the last answer was %d, and the draft has %d attachments", f.Size, last.Status, n))
	}
	return err
}

func sessionError(format string, args ...any) error {
	return &graph.Error{Op: "upload", Class: graph.ClassTemporary, Reason: graph.ReasonSession, Message: fmt.Sprintf(format, args...)}
}

// ensureSession goes on with the recorded session where it tells how far it is,
// and starts another where not: Graph documents no such question for mail, and a
// session that never ends adds nothing.
func (j *job) ensureSession(ctx context.Context, f graph.Attachment) error {
	if j.p.UploadURL != "" {
		next, reply, err := j.mailbox().UploadState(ctx, j.p.UploadURL)
		if err == nil && next < f.Size {
			j.p.UploadOffset = next
			return j.save(ctx, "upload resumed", fmt.Sprintf("from byte %d", next), reply)
		}
		if graph.TimedOut(err) { // as it may stay for good: the next try does not ask again
			return j.dropSession(err)
		}
		if graph.Inconclusive(err) {
			return err
		}
		j.p.UploadURL, j.p.UploadOffset = "", 0
	}
	url, reply, err := j.mailbox().CreateUploadSession(ctx, j.p.DraftID, f)
	if err != nil {
		return err
	}
	j.p.UploadURL, j.p.UploadOffset = url, 0
	return j.save(ctx, "upload session created", fmt.Sprintf("%d bytes", f.Size), reply)
}

// uploadFailed leaves the session for the next try to ask, unless it is over.
func (j *job) uploadFailed(err error) error {
	if graph.SessionLost(err) {
		return j.dropSession(err)
	}
	return err
}

// dropSession makes the next try start another session. Whether the file is on
// the draft nonetheless is counted then.
func (j *job) dropSession(err error) error {
	j.p.UploadURL, j.p.UploadOffset = "", 0
	return err
}

// source reads a file from any offset, going on where it is when it can.
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

func (s *source) moved(n int64) { s.pos += n }
