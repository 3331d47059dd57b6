package delivery

import (
	"strconv"
	"strings"

	"graphrelay/graph"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
	"graphrelay/relay/verdict"
)

// tellClient has the session that still waits for a failed message tell its client: a
// refusal there is no message of ours any more. Everybody else is told by mail.
func (j *job) tellClient(o queue.Outcome) queue.Outcome {
	j.waiter = j.d.cfg.Waiters.Claim(j.task.ID)
	if j.waiter == nil || o.State != queue.Failed {
		return j.tell(o)
	}
	o.Discard = true
	j.event("refused to the client", "in its session, which waited", graph.Reply{})
	return o
}

// answer ends the session's wait once the outcome is recorded. What could not be
// recorded stays in the queue.
func (j *job) answer(o queue.Outcome, notRecorded error) {
	if j.waiter == nil {
		j.waiter = j.d.cfg.Waiters.Claim(j.task.ID)
	}
	if notRecorded != nil || !o.Discard {
		j.waiter.Decide(verdict.Verdict{})
		return
	}
	a := bounce.AdviceFor(o.Reason)
	v := verdict.Verdict{Refused: true, Enhanced: [3]int{5}, Text: a.Why + " " + a.Do}
	for i, digits := range strings.SplitN(a.Status, ".", 2) {
		v.Enhanced[i+1], _ = strconv.Atoi(digits) // the table holds numbers
	}
	j.waiter.Decide(v)
}
