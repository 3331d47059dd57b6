package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"graphrelay/internal/text"
)

// printDiff prints what a reload of the running relay would change.
func printDiff(e env, file string, asJSON bool) error {
	client, err := runningRelay(e, file)
	if err != nil {
		return err
	}
	defer client.Close()
	d, err := client.DiffFile(context.Background())
	if err != nil {
		return refused(e, err)
	}
	for _, c := range d.Changes {
		c.Key, c.From, c.To = text.Printable(c.Key), text.Printable(c.From), text.Printable(c.To)
		if asJSON {
			_ = json.NewEncoder(text.JSONWriter(e.stdout)).Encode(c)
		} else {
			fmt.Fprintf(e.stdout, "%s: %s -> %s\n", c.Key, cmp.Or(c.From, "not set"), cmp.Or(c.To, "not set"))
		}
	}
	if len(d.Changes) == 0 && !asJSON {
		fmt.Fprintf(e.stdout, "%s is what the relay uses\n", text.Printable(d.File))
	}
	return nil
}
