// Package queueview prints messages and lanes of the queue for operators: as tables for
// people, or as JSON for programs, one object a line. What comes from mail is made safe
// for a terminal.
package queueview

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"graphrelay/internal/text"
)

// Printer prints to Out.
type Printer struct {
	Out  io.Writer
	JSON bool
}

// Done prints what was done to a message or lane. kind is what name is: "id", "lane" or "node".
func (p Printer) Done(action, kind, name string) error {
	if p.JSON {
		return p.encoder().Encode(map[string]string{kind: name, "done": action})
	}
	_, err := fmt.Fprintf(p.Out, "%s %s\n", action, text.Printable(name))
	return err
}

// WouldDo prints that an action on a message is possible.
func (p Printer) WouldDo(action, id string) error {
	if p.JSON {
		return p.encoder().Encode(map[string]string{"id": id, "would": action})
	}
	_, err := fmt.Fprintf(p.Out, "would %s %s\n", action, id)
	return err
}

// DoneAll prints to how many messages an action was done, or would be if dry is set.
func (p Printer) DoneAll(action string, messages int64, dry bool) error {
	key, words := "done", action
	if dry {
		key, words = "would", "would "+action
	}
	if p.JSON {
		return p.encoder().Encode(map[string]any{key: action, "messages": messages})
	}
	_, err := fmt.Fprintf(p.Out, "%s %s\n", words, Messages(messages))
	return err
}

// Messages returns a number of messages as text.
func Messages(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return humanize.Comma(n) + " messages"
}

func (p Printer) encoder() *json.Encoder { return json.NewEncoder(text.JSONWriter(p.Out)) }

func (p Printer) table() *tabwriter.Writer { return tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0) }

// local returns a time as tables show it.
func local(t time.Time) string { return t.Local().Format(time.DateTime) }

// encodeEach writes the JSON form of each item.
func encodeEach[T any](p Printer, items []T) error {
	enc := p.encoder()
	for _, item := range items {
		if err := enc.Encode(item); err != nil {
			return err
		}
	}
	return nil
}
