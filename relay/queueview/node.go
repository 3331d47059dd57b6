package queueview

import (
	"fmt"

	"graphrelay/internal/text"
	"graphrelay/relay/operations"
)

// Nodes prints one line for each node, and a warning if their configurations differ.
func (p Printer) Nodes(list []operations.Node) error {
	if p.JSON {
		return encodeEach(p, list)
	}
	w := p.table()
	fmt.Fprintln(w, "NODE\tSTATE\tVERSION\tSTARTED\tSEEN\tLANES\tDELIVERING\tCONFIG")
	differs := false
	for _, n := range list {
		differs = differs || n.Differs
		started := ""
		if n.Started != nil {
			started = local(*n.Started)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", text.Printable(n.Name), n.State, text.Printable(n.Version), started,
			local(n.Seen), n.Lanes, n.Delivering, text.Printable(n.Config))
	}
	if err := w.Flush(); err != nil || !differs {
		return err
	}
	_, err := fmt.Fprintln(p.Out, "The configurations of these nodes differ in what decides where mail goes; make them the same (docs/nodes.md).")
	return err
}
