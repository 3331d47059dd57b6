package queueview

import (
	"fmt"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// laneName is the JSON form of a lane's name, with the principal in connection.
type laneName struct {
	Connection string `json:"connection"`
	Mailbox    string `json:"mailbox"`
}

func nameOf(l queue.Lane) laneName { return laneName{l.Whole().String(), l.Mailbox} }

// lane is the JSON form of a lane.
type lane struct {
	Lane        laneName              `json:"lane"`
	Messages    map[queue.State]int64 `json:"messages"`
	Oldest      *time.Time            `json:"oldest,omitempty"`
	PausedUntil *time.Time            `json:"paused_until,omitempty"`
	PausedFor   reason.Reason         `json:"paused_for,omitempty"`
}

func laneOf(l queue.LaneStatus) lane {
	v := lane{Lane: nameOf(l.Lane), Messages: l.Messages, PausedFor: l.PausedFor}
	if !l.Oldest.IsZero() {
		v.Oldest = &l.Oldest
	}
	if !l.PausedUntil.IsZero() {
		v.PausedUntil = &l.PausedUntil
	}
	return v
}

// pausedIn says until when a lane is paused, and why. Whole has the connections, and the
// principals, that are paused.
func pausedIn(l queue.LaneStatus, whole map[string]bool) string {
	of := l.Lane.Whole().String()
	switch {
	case !l.PausedUntil.IsZero():
		return paused(l)
	case whole[of]:
		return "with " + of
	case whole[l.Lane.Connection]:
		return "with " + l.Lane.Connection
	}
	return ""
}

// Lanes prints one line for each lane. A lane whose connection is paused says so.
func (p Printer) Lanes(lanes []queue.LaneStatus) error {
	if p.JSON {
		return encodeEach(p, lanes, laneOf)
	}
	whole := map[string]bool{} // paused
	for _, l := range lanes {
		if l.Lane.Mailbox == "" && !l.PausedUntil.IsZero() {
			whole[l.Lane.String()] = true
		}
	}
	w := p.table()
	fmt.Fprintln(w, "LANE\tQUEUED\tDELIVERING\tDEFERRED\tHELD\tOLDEST\tPAUSED")
	for _, l := range lanes {
		oldest := ""
		if !l.Oldest.IsZero() {
			oldest = l.Oldest.Format(time.DateTime)
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

func paused(l queue.LaneStatus) string {
	if l.PausedUntil.IsZero() {
		return ""
	}
	return until(l.PausedUntil) + ", " + string(l.PausedFor)
}
