package queueview

import (
	"fmt"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
)

// Audits prints one line for each thing that an operator did.
func (p Printer) Audits(list []queue.Audit) error {
	if p.JSON {
		return encodeEach(p, list, func(a queue.Audit) queue.Audit { return a })
	}
	w := p.table()
	fmt.Fprintln(w, "AT\tBY\tACTION\tCHANGED\tON")
	for _, a := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", a.At.Format(time.DateTime), text.Printable(a.By), text.Printable(a.Action), a.Changed, text.Printable(a.On))
	}
	return w.Flush()
}
