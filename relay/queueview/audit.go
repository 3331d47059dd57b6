package queueview

import (
	"fmt"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
)

// Audits prints one line for each thing that an operator did.
func (p Printer) Audits(list []queue.Audit) error {
	if p.JSON {
		return encodeEach(p, list)
	}
	w := p.table()
	fmt.Fprintln(w, "AT\tBY\tACTION\tCHANGED\tON")
	for _, a := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", local(a.At), text.Printable(a.By), text.Printable(a.Action), a.Changed, text.Printable(a.On))
	}
	return w.Flush()
}
