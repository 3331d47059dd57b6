package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay/alert"
	"graphrelay/relay/attention"
	"graphrelay/relay/config"
	"graphrelay/relay/control"
)

func alertsCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "alerts",
		Short: "list what needs an operator",
		Long: `Lists the open incidents of the running relay: what is wrong, since when, why, and what to do
about it. Who is told of them is configured in alerts. Run it as the user of the relay, or as root.`,
		Example: `  graphrelay alerts
  graphrelay alerts --all --json`,
		Args: noOperands,
	}
	o := &alertsOptions{env: e}
	c.AddCommand(o.testCommand())
	o.file = configFlag(c)
	c.PersistentFlags().BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
	all := c.Flags().Bool("all", false, "also those of the last days that are over")
	c.RunE = func(*cobra.Command, []string) error {
		path := incidentsPath
		if *all {
			path += "?all"
		}
		a, err := o.ask(http.MethodGet, path)
		if err != nil {
			return err
		}
		return o.print(a.Incidents)
	}
	return c
}

// alertsOptions are the flags of alerts.
type alertsOptions struct {
	env
	file   *string
	asJSON bool
}

func (o *alertsOptions) print(list []alert.Incident) error {
	if o.asJSON {
		out := json.NewEncoder(text.JSONWriter(o.stdout))
		for _, i := range list {
			if err := out.Encode(i); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(o.stdout, "nothing needs you")
	}
	for _, i := range list {
		fmt.Fprint(o.stdout, incidentText(i, time.Now()))
	}
	return nil
}

func incidentText(i alert.Incident, now time.Time) string {
	var b strings.Builder
	title := i.Summary
	if i.Subject != "" {
		title += ": " + i.Subject
	}
	fmt.Fprintf(&b, "%s  %s  %s  %s\n", i.Ref, i.Severity, i.ID, text.Printable(title))
	since := "since " + i.Since.Local().Format("2006-01-02 15:04")
	if i.Closed.IsZero() {
		fmt.Fprintf(&b, "    %s, for %s\n", since, attention.Span(i.Duration(now)))
	} else {
		fmt.Fprintf(&b, "    %s; over, it lasted %s\n", since, attention.Span(i.Duration(now)))
	}
	fmt.Fprintf(&b, "    %s\n", text.Printable(i.Cause))
	if i.Closed.IsZero() {
		fmt.Fprintf(&b, "    What to do: %s\n", text.Printable(i.Remedy))
	}
	return b.String()
}

func (o *alertsOptions) testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [CHANNEL]",
		Short: "send a test message to the channels of alerts",
		Long: `Has the running relay send a test message to a channel, or to every channel, and prints what
became of each. Mail is queued like any other; queue show tells its way. Ends with status 1 if one
could not be sent.`,
		Example: `  graphrelay alerts test
  graphrelay alerts test operators`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("give one channel, or none for all")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := o.ask(http.MethodPost, testPath+"?"+url.Values{"channel": {strings.Join(args, "")}}.Encode())
			if err != nil {
				return err
			}
			return o.printTests(a.Tests)
		},
	}
}

func (o *alertsOptions) printTests(tests []alertTest) error {
	failed := false
	out := json.NewEncoder(text.JSONWriter(o.stdout))
	for _, t := range tests {
		failed = failed || t.Error != ""
		switch {
		case o.asJSON:
			if err := out.Encode(t); err != nil {
				return err
			}
		case t.Error != "":
			fmt.Fprintf(o.stderr, "%s: not sent: %s\n", t.Channel, text.Printable(t.Error))
		default:
			fmt.Fprintf(o.stdout, "%s: %s\n", t.Channel, text.Printable(t.Result))
		}
	}
	if failed {
		return exitError{status: exitFault}
	}
	return nil
}

// alertsRelay is what the commands ask of the running relay.
type alertsRelay interface {
	Incidents(ctx context.Context, all bool) ([]alert.Incident, error)
	AlertChannels() []string
	TestAlert(ctx context.Context, channel string) (string, error)
}

const (
	incidentsPath = "/alerts/incidents"
	testPath      = "/alerts/test"
	// alertTime bounds how long a command waits for the queue or a webhook.
	alertTime = 30 * time.Second
	// maxAlerts bounds what a command reads.
	maxAlerts = 8 << 20
)

// alertsAnswer is what the relay answers: a fault, or what was asked for.
type alertsAnswer struct {
	Error     string           `json:"error,omitempty"`
	Incidents []alert.Incident `json:"incidents,omitempty"`
	Tests     []alertTest      `json:"tests,omitempty"`
}

// alertTest is what became of a test message.
type alertTest struct {
	Channel string `json:"channel"`
	Result  string `json:"result,omitempty"`
	Error   string `json:"error,omitempty"`
}

// serveAlerts answers the commands on the socket of the relay, and leaves the rest to next.
func serveAlerts(r alertsRelay, next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", next)
	reply := func(w http.ResponseWriter, a alertsAnswer, err error) {
		if err != nil {
			a.Error = err.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a)
	}
	mux.HandleFunc("GET "+incidentsPath, func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), alertTime)
		defer cancel()
		list, err := r.Incidents(ctx, req.URL.Query().Has("all"))
		reply(w, alertsAnswer{Incidents: list}, err)
	})
	mux.HandleFunc("POST "+testPath, func(w http.ResponseWriter, req *http.Request) {
		tests, err := testAlerts(req.Context(), r, req.URL.Query().Get("channel"))
		reply(w, alertsAnswer{Tests: tests}, err)
	})
	return mux
}

func testAlerts(ctx context.Context, r alertsRelay, channel string) (tests []alertTest, err error) {
	channels := []string{channel}
	if channel == "" {
		channels = r.AlertChannels()
	}
	if len(channels) == 0 {
		return nil, errors.New("no channels are configured; add one to alerts.mail or alerts.webhooks")
	}
	for _, name := range channels {
		ctx, cancel := context.WithTimeout(ctx, alertTime)
		t := alertTest{Channel: name}
		t.Result, err = r.TestAlert(ctx, name)
		cancel()
		if errors.Is(err, alert.ErrNoChannel) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err != nil {
			t.Result, t.Error = "", err.Error()
		}
		tests = append(tests, t)
	}
	return tests, nil
}

// ask asks the relay that runs with the data_dir of the configuration.
func (o *alertsOptions) ask(method, path string) (a alertsAnswer, err error) {
	dir := ""
	if _, _, err = readConfig(o.env, *o.file, func(path string) (*config.Config, error) {
		dir, err = config.DataDir(path)
		return nil, err
	}); err != nil {
		return a, err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return control.Dial(ctx, dir) }}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://relay"+path, http.NoBody)
	if err != nil {
		return a, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return a, errors.Unwrap(err) // without the URL, which says nothing
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAlerts)).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("the relay does not know this request (%s): it is of another version", resp.Status)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}
