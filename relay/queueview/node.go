package queueview

import (
	"fmt"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
)

// node is the JSON form of a node.
type node struct {
	Name       string          `json:"name"`
	ID         string          `json:"id"`
	State      queue.NodeState `json:"state"`
	Version    string          `json:"version,omitempty"`
	Started    *time.Time      `json:"started,omitempty"`
	Seen       time.Time       `json:"seen"`
	Lanes      int             `json:"lanes"`
	Delivering int             `json:"delivering"`
	Config     string          `json:"config,omitempty"`
	Differs    bool            `json:"config_differs"`
}

// Nodes prints one line for each node, and a warning if their configurations differ.
func (p Printer) Nodes(list []queue.NodeStatus, now time.Time) error {
	differs := queue.ConfigsDiffer(list, now)
	if p.JSON {
		return encodeEach(p, list, func(n queue.NodeStatus) node {
			v := node{Name: n.Name, ID: n.ID, State: n.State(now), Version: n.About.Version, Seen: n.Seen,
				Lanes: n.Lanes, Delivering: n.Delivering, Config: n.About.Config, Differs: differs}
			if !n.About.Started.IsZero() {
				v.Started = &n.About.Started
			}
			return v
		})
	}
	w := p.table()
	fmt.Fprintln(w, "NODE\tSTATE\tVERSION\tSTARTED\tSEEN\tLANES\tDELIVERING\tCONFIG")
	for _, n := range list {
		started := ""
		if !n.About.Started.IsZero() {
			started = n.About.Started.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", text.Printable(n.Name), n.State(now), text.Printable(n.About.Version), started,
			n.Seen.Local().Format(time.DateTime), n.Lanes, n.Delivering, text.Printable(n.About.Config))
	}
	if err := w.Flush(); err != nil || !differs {
		return err
	}
	_, err := fmt.Fprintln(p.Out, "The configurations of these nodes differ in what decides where mail goes; make them the same (docs/nodes.md).")
	return err
}
