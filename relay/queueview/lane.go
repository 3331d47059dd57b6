package queueview

import (
	"fmt"

	"graphrelay/internal/text"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
)

// pausedIn says until when a lane is paused, and why. Whole has the connections, and the
// principals, that are paused.
func pausedIn(l operations.Lane, whole map[string]bool) string {
	of, connection := l.Lane.Connection, l.Lane.Lane().Connection
	switch {
	case l.PausedUntil != nil:
		return until(*l.PausedUntil) + ", " + string(l.PausedFor)
	case whole[of]:
		return "with " + of
	case whole[connection]:
		return "with " + connection
	}
	return ""
}

// Lanes prints one line for each lane. A lane whose connection is paused says so.
func (p Printer) Lanes(lanes []operations.Lane) error {
	if p.JSON {
		return encodeEach(p, lanes)
	}
	whole := map[string]bool{} // paused
	for _, l := range lanes {
		if l.Lane.Mailbox == "" && l.PausedUntil != nil {
			whole[l.Lane.String()] = true
		}
	}
	w := p.table()
	fmt.Fprintln(w, "LANE\tQUEUED\tDELIVERING\tDEFERRED\tHELD\tOLDEST\tPAUSED")
	for _, l := range lanes {
		oldest := ""
		if l.Oldest != nil {
			oldest = local(*l.Oldest)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", text.Printable(l.Lane.String()), l.Messages[queue.Queued], l.Messages[queue.Delivering],
			l.Messages[queue.Deferred], l.Messages[queue.Held], oldest, text.Printable(pausedIn(l, whole)))
	}
	return w.Flush()
}

// Resumed prints that the pauses of a connection and its lanes were ended, and how many they were.
func (p Printer) Resumed(connection string, pauses int) error {
	if p.JSON {
		return p.encoder().Encode(map[string]any{"lane": connection, "done": "resume", "pauses": pauses})
	}
	s := "s"
	if pauses == 1 {
		s = ""
	}
	_, err := fmt.Fprintf(p.Out, "resume %s: %d pause%s\n", text.Printable(connection), pauses, s)
	return err
}
