package graphmail

import "graphrelay/relay/queue"

// Bytes that a message in delivery holds in memory, as seen in heap profiles.
const (
	attemptBytes = 40 << 10  // its record and progress, stacks, a connection to Graph
	inlineBytes  = 128 << 10 // a stored message up to this size is read as a whole, a larger one from its file
	jsonBytes    = 32 << 10  // of a request; package graph encodes a longer text piece by piece
	fileBytes    = 128 << 10 // a file on its way: decoded, encoded and sent piece by piece
)

// Needs implements delivery.Outlet. How much of a message is text is known only once it was
// read, so this counts as if all of it were.
func (o *Outlet) Needs(m queue.Record) int64 {
	return attemptBytes + storedBytes(m.Size) + o.cfg.MIME.Memory(m.Size)
}

// storedBytes returns how many bytes a stored message of this size holds while it is open.
func storedBytes(size int64) int64 {
	if size <= inlineBytes {
		return size
	}
	return 0
}

// holdPlan tells the Deliverer what the message holds now that it was read. The stored message
// is closed if all that is needed of it is in the plan.
func (t *transfer) holdPlan() {
	if !t.plan.readsBody() {
		t.CloseBody()
	}
	t.Holds(t.plan.memory(t.Message.Size))
}

// readsBody reports whether the requests read from the stored message.
func (p *plan) readsBody() bool { return p.whole != nil || len(p.files) > 0 }

// memory returns how many bytes the message of this size holds from now on: its text, perhaps
// once more as JSON, and what reads files from the stored message.
func (p *plan) memory(size int64) int64 {
	n := attemptBytes + p.head + p.text + min(p.text, jsonBytes)
	if p.readsBody() {
		n += storedBytes(size) + fileBytes
	}
	return n
}
