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

// Lanes prints one line for each lane.
func (p Printer) Lanes(lanes []queue.LaneStatus) error {
	if p.JSON {
		return encodeEach(p, lanes, laneOf)
	}
	w := p.table()
	fmt.Fprintln(w, "LANE\tQUEUED\tDELIVERING\tDEFERRED\tHELD\tOLDEST\tPAUSED")
	for _, l := range lanes {
		oldest := ""
		if !l.Oldest.IsZero() {
			oldest = l.Oldest.Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", text.Printable(l.Lane.String()), l.Messages[queue.Queued], l.Messages[queue.Delivering],
			l.Messages[queue.Deferred], l.Messages[queue.Held], oldest, text.Printable(paused(l)))
	}
	return w.Flush()
}

func paused(l queue.LaneStatus) string {
	if l.PausedUntil.IsZero() {
		return ""
	}
	return until(l.PausedUntil) + ", " + string(l.PausedFor)
}
