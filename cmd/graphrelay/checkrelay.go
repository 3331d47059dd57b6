package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

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
	windows, devices := widened(cfg)
	good = good && len(windows) == 0
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
	for _, line := range devices {
		fmt.Fprintln(e.stdout, line)
	}
	for _, line := range windows {
		fmt.Fprintln(e.stderr, line)
	}
	return good
}

// widened asks the running relay whom the list of devices lets in: by learning windows, which are
// open to whoever is in their networks, and by name. A relay that does not answer was found above.
func widened(cfg *config.Config) (windows, devices []string) {
	client := socketClient(cfg.DataDir)
	defer client.Close()
	list, err := client.Listeners(context.Background())
	if err != nil {
		return nil, nil
	}
	for _, l := range list {
		if w := l.Window; w != nil {
			windows = append(windows, fmt.Sprintf("graphrelay: listener %s: a learning window lets in every device of %s that sends as *@%s, until %s; end it with graphrelay devices learn %s --close",
				l.Name, w.Network, text.Printable(w.Domain), w.Until.Local().Format(time.TimeOnly), l.Name))
		}
		if n := len(l.Devices); n > 0 && l.AllowDevices {
			devices = append(devices, fmt.Sprintf("note: listener %s: graphrelay devices list shows %d more that its networks do not have", l.Name, n))
		}
	}
	return windows, devices
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
