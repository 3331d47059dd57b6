package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/stranger"
)

// checkRelay tries the listeners of the running relay, prints what was let in, and reports
// whether strangers stay out.
func checkRelay(e env, cfg *config.Config, asJSON bool) bool {
	results := stranger.Check(context.Background(), cfg)
	good := true
	for _, r := range results {
		good = good && !r.LetIn() && r.Fault == ""
		if asJSON {
			_ = json.NewEncoder(text.JSONWriter(e.stdout)).Encode(r)
		}
	}
	if asJSON {
		return good
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LISTENER\tCLIENT\tFROM\tTO\tRESULT")
	for _, r := range results {
		for _, t := range r.Tries {
			client := t.Client.String()
			if t.Stranger {
				client += " (stranger)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Listener, client, dash(t.From), dash(t.To), verdictOf(t))
		}
	}
	_ = w.Flush()
	for _, r := range results {
		for _, n := range r.NotTried {
			fmt.Fprintf(e.stdout, "not tried: listener %s: %s\n", r.Listener, n)
		}
		if r.Fault != "" {
			fmt.Fprintf(e.stderr, "graphrelay: listener %s: %s\n", r.Listener, text.Printable(r.Fault))
		}
		if r.LetIn() {
			fmt.Fprintf(e.stderr, "graphrelay: listener %s: a stranger may send; list your own networks alone, or set auth: required\n", r.Listener)
		}
	}
	return good
}

func verdictOf(t stranger.Try) string {
	switch {
	case t.LetIn():
		return "LET IN"
	case t.Accepted:
		return "let in, as the configuration allows"
	}
	return "refused: " + t.Answer
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return text.Printable(s)
}
