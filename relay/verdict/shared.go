package verdict

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"graphrelay/relay/queue"
)

// Source is where SMTP sessions learn of the first delivery attempts.
type Source interface {
	// Expect begins a wait. It comes before the message can be claimed from the queue.
	Expect(id string) Wait
}

// Wait is one session's wait.
type Wait interface {
	// Await returns the verdict, or the zero Verdict if there is none before ctx is done.
	Await(ctx context.Context) Verdict
	// Cancel ends the wait for a message that is not in the queue.
	Cancel()
}

// String returns the verdict as a queue that is shared keeps it.
func (v Verdict) String() string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

// Shared is the Source for a queue whose nodes deliver one another's messages: the queue
// itself knows who waits. As with Waiters, a failure is reported exactly once.
type Shared struct{ Queue queue.Verdicts }

// Expect implements Source. The queue learns of the wait with the message (queue.Entry.Wait).
func (s Shared) Expect(id string) Wait { return sharedWait{s.Queue, id} }

type sharedWait struct {
	queue queue.Verdicts
	id    string
}

const (
	pollEvery = 200 * time.Millisecond
	// tellTime is for how long a session tries to accept a refusal. It is shorter than
	// the time that the queue gives it, and than that for which a client waits on.
	tellTime = 8 * time.Second
)

// Cancel implements Wait. The message was not committed, and the wait neither.
func (sharedWait) Cancel() {}

// Await implements Wait.
func (w sharedWait) Await(ctx context.Context) Verdict {
	for {
		select {
		case <-ctx.Done():
			return Verdict{}
		case <-time.After(pollEvery):
		}
		refusal, decided, err := w.queue.Verdict(ctx, w.id)
		switch {
		case err != nil || !decided: // a queue that is away may come back
		case refusal == "":
			return Verdict{}
		default:
			return w.accept(refusal)
		}
	}
}

// accept has the queue give up the notification of a refusal, so that the client is told
// instead. If it is not known whether it has, the client must not take the message for accepted.
func (w sharedWait) accept(refusal string) Verdict {
	var v Verdict
	if json.Unmarshal([]byte(refusal), &v) != nil {
		return Verdict{} // of another version; the notification is sent
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellTime)
	defer cancel()
	unknown := false
	for {
		err := w.queue.Told(ctx, w.id)
		unknown = unknown || errors.Is(err, queue.ErrUnknown)
		switch {
		case err == nil:
			return v
		case errors.Is(err, queue.ErrFenced):
			return Verdict{}
		}
		select {
		case <-ctx.Done():
			return Verdict{Unknown: unknown}
		case <-time.After(pollEvery):
		}
	}
}
