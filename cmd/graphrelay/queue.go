package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
)

func queueCommand(e env, args []string) int {
	fs := flags(e, "queue")
	path := fs.String("config", "", "configuration `file`")
	asJSON := fs.Bool("json", false, "one JSON object a line")
	var f listFlags
	f.add(fs)
	pauseFor := fs.Duration("for", 0, "pause for so long (default: until resume)")
	operands, status, ok := parse(e, fs, args)
	if !ok {
		return status
	}
	if len(operands) == 0 {
		return badUsage(e, fs, "say what to do: "+queueActions)
	}
	action, ids := operands[0], operands[1:]
	if action != "list" && action != "lanes" && len(ids) == 0 {
		return badUsage(e, fs, "name the queue ID of a message, which queue list shows, or with pause and resume a lane, which queue lanes shows")
	}
	filter, err := f.filter()
	if err != nil {
		return badUsage(e, fs, err.Error())
	}
	cfg, store, status := openQueue(e, *path)
	if store == nil {
		return status
	}
	defer store.Close()
	d := desk{e: e, store: store, json: *asJSON}
	for _, c := range cfg.Connections {
		d.connections = append(d.connections, c.Name)
	}
	switch action {
	case "list":
		return d.list(filter)
	case "lanes":
		return d.lanes()
	case "pause":
		return d.each(ids, func(name string) error { return d.pause(name, *pauseFor) })
	case "resume":
		return d.each(ids, d.resume)
	case "show":
		return d.each(ids, d.show)
	case "export":
		return d.each(ids, d.export)
	case "hold", "release", "retry", "delete":
		return d.each(ids, func(id string) error { return d.steer(id, queue.Action(action)) })
	}
	return badUsage(e, fs, fmt.Sprintf("unknown action %q; choose from %s", action, queueActions))
}

const queueActions = "list, show, hold, release, retry, delete, export, lanes, pause or resume"

// listFlags choose what queue list shows.
type listFlags struct {
	states, from, to, lane, reason string
	older                          time.Duration
	limit                          int
}

func (l *listFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&l.states, "state", "", "list only messages in these `states`, separated by commas, or all (default: all but sent)")
	fs.StringVar(&l.from, "from", "", "list only messages whose envelope sender contains this `text`")
	fs.StringVar(&l.to, "to", "", "list only messages with a recipient that contains this `text`")
	fs.StringVar(&l.lane, "lane", "", "list only messages of this `lane`, connection/mailbox, or of a connection")
	fs.StringVar(&l.reason, "reason", "", "list only messages that wait or failed for this `reason`")
	fs.DurationVar(&l.older, "older", 0, "list only messages that came longer ago than this")
	fs.IntVar(&l.limit, "limit", 1000, "list so many messages at most, the oldest first")
}

// filter leaves sent messages out unless they are asked for: a queue is what is still
// in it.
func (l *listFlags) filter() (queue.Filter, error) {
	f := queue.Filter{From: l.from, To: l.to, Lane: l.lane, Reason: l.reason, Limit: l.limit}
	if l.older > 0 {
		f.Before = time.Now().Add(-l.older)
	}
	for _, s := range queue.States() {
		if l.states == "" && s != queue.Sent || l.states == "all" {
			f.States = append(f.States, s)
		}
	}
	if l.states == "" || l.states == "all" {
		return f, nil
	}
	for name := range strings.SplitSeq(l.states, ",") {
		s := queue.State(strings.TrimSpace(name))
		if !slices.Contains(queue.States(), s) {
			return f, fmt.Errorf("unknown state %q; there are %v", name, queue.States())
		}
		f.States = append(f.States, s)
	}
	return f, nil
}

// openQueue opens the queue of a running or stopped relay. It reads the
// configuration without the secrets, which an operator's shell may not have.
func openQueue(e env, path string) (*config.Config, *sqlite.Store, int) {
	if path == "" {
		_, status := loadConfig(e, path)
		return nil, nil, status
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fault(e, exitBadUsage, err)
	}
	cfg, err := config.Parse(data, path)
	if err != nil {
		fmt.Fprintln(e.stderr, strings.TrimRight(err.Error(), "\n"))
		return nil, nil, exitBadUsage
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, sqlite.DatabaseName)); err != nil {
		return nil, nil, fault(e, exitFault, fmt.Errorf("there is no queue in %s yet; start the relay once", cfg.DataDir))
	}
	store, err := sqlite.Open(context.Background(), sqlite.Options{Dir: cfg.DataDir})
	if err != nil {
		return nil, nil, fault(e, exitFault, err)
	}
	return cfg, store, exitOK
}

// desk is the operator's side of the queue.
type desk struct {
	e     env
	store interface {
		queue.Inspector
		queue.Controller
	}
	json bool

	connections []string // of the configuration, by name
}

// each does something with every ID and goes on after an error.
func (d desk) each(ids []string, do func(id string) error) int {
	status := exitOK
	for _, id := range ids {
		if err := do(id); err != nil {
			status = fault(d.e, exitFault, fmt.Errorf("%s: %w%s", text.Printable(id), err, hint(err)))
		}
	}
	return status
}

func hint(err error) string {
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return "; queue list shows what there is"
	case errors.Is(err, queue.ErrState):
		return "; queue show says more"
	}
	return ""
}

// view is a record as --json shows it. What carries a token is left out.
type view struct {
	ID         string         `json:"id"`
	State      queue.State    `json:"state"`
	Received   time.Time      `json:"received"`
	Size       int64          `json:"size"`
	From       string         `json:"envelope_from"`
	To         []string       `json:"envelope_to"`
	DSN        queue.DSN      `json:"dsn,omitzero"` // RFC 3461
	Lane       queue.Lane     `json:"lane"`
	HeaderFrom string         `json:"from"`
	Subject    string         `json:"subject,omitempty"`
	MessageID  string         `json:"message_id,omitempty"`
	Listener   string         `json:"listener"`
	User       string         `json:"user,omitempty"`
	Client     string         `json:"client"`
	Due        *time.Time     `json:"due,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	Detail     string         `json:"detail,omitempty"`
	Attempts   int            `json:"attempts"`
	Finished   *time.Time     `json:"finished,omitempty"`
	Path       string         `json:"path,omitempty"`
	Draft      string         `json:"draft,omitempty"`
	Attached   int            `json:"attached,omitempty"`
	Events     *[]queue.Event `json:"events,omitempty"`
}

func viewOf(r queue.Record) view {
	steps := delivery.StepsOf(r.Progress)
	v := view{
		ID: r.ID, State: r.State, Received: r.Received, Size: r.Size, From: r.Envelope.From, To: r.Envelope.To, DSN: r.Envelope.DSN,
		Lane: r.Lane, HeaderFrom: r.From, Subject: r.Subject, MessageID: r.MessageID, Listener: r.Listener, User: r.User,
		Client: r.Client, Reason: r.Reason, Detail: r.Detail, Attempts: r.Attempts,
		Path: steps.Path, Draft: steps.DraftID, Attached: steps.Attached,
	}
	if r.State == queue.Queued || r.State == queue.Deferred {
		v.Due = &r.Due
	}
	if !r.Finished.IsZero() {
		v.Finished = &r.Finished
	}
	return v
}

func (d desk) encoder() *json.Encoder { return json.NewEncoder(text.JSONWriter(d.e.stdout)) }

func (d desk) list(f queue.Filter) int {
	records, err := d.store.List(context.Background(), f)
	if err != nil {
		return fault(d.e, exitFault, err)
	}
	if d.json {
		enc := d.encoder()
		for _, r := range records {
			if err := enc.Encode(viewOf(r)); err != nil {
				return fault(d.e, exitFault, err)
			}
		}
		return exitOK
	}
	w := tabwriter.NewWriter(d.e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tRECEIVED\tSIZE\tFROM\tTO\tWHY")
	for _, r := range records {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.ID, r.State, r.Received.Format(time.DateTime), r.Size,
			text.Printable(sender(r.Envelope)), text.Printable(toText(r.Envelope.To)), text.Printable(r.Reason))
	}
	if err := w.Flush(); err != nil {
		return fault(d.e, exitFault, err)
	}
	return exitOK
}

// sender shows the null reverse-path of a bounce as SMTP does.
func sender(e queue.Envelope) string {
	if e.From == "" {
		return "<>"
	}
	return e.From
}

func toText(to []string) string {
	if len(to) > 1 {
		return to[0] + " and " + strconv.Itoa(len(to)-1) + " more"
	}
	return strings.Join(to, "")
}

func (d desk) show(id string) error {
	r, events, err := d.store.Get(context.Background(), id)
	if err != nil {
		return err
	}
	v := viewOf(r)
	if d.json {
		v.Events = &events
		return d.encoder().Encode(v)
	}
	w := tabwriter.NewWriter(d.e.stdout, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text.Printable(value))
		}
	}
	line("id", v.ID)
	line("state", string(v.State))
	line("why", strings.TrimSpace(v.Reason+" "+v.Detail))
	if v.Due != nil {
		line("next try", v.Due.Format(time.DateTime))
	}
	line("attempts", strconv.Itoa(v.Attempts))
	line("received", v.Received.Format(time.DateTime)+" "+origin(r))
	line("user", v.User)
	line("size", strconv.FormatInt(v.Size, 10))
	line("envelope from", sender(r.Envelope))
	line("envelope to", strings.Join(v.To, " "))
	showDSN(line, r.Envelope)
	line("from", v.HeaderFrom)
	line("subject", v.Subject)
	line("message id", v.MessageID)
	line("lane", v.Lane.String())
	line("draft", v.Draft)
	for _, ev := range events {
		request := ev.RequestID
		if request != "" {
			request = "(request-id " + request + ")"
		}
		line("  "+ev.At.Format("2006-01-02 15:04:05.000"), strings.Join(strings.Fields(ev.What+" "+ev.Detail+" "+request), " "))
	}
	return w.Flush()
}

// origin is where the message came from; a bounce came from nobody.
func origin(r queue.Record) string {
	if r.Client == "" {
		return "from the relay itself"
	}
	return "from " + r.Client + " on " + r.Listener
}

// showDSN shows the parameters as the client wrote them (RFC 3461), but decoded.
func showDSN(line func(name, value string), e queue.Envelope) {
	pair := func(name, value string) string {
		if value == "" {
			return ""
		}
		return " " + name + "=" + value
	}
	line("notifications", strings.TrimSpace(pair("RET", e.DSN.Return)+pair("ENVID", e.DSN.EnvelopeID)))
	for _, to := range e.To {
		if r, ok := e.DSN.Recipients[to]; ok {
			line("  "+to, strings.TrimSpace(pair("NOTIFY", strings.Join(r.Notify, ","))+pair("ORCPT", r.Original)))
		}
	}
}

// export writes the message byte for byte as it was received: without the
// Received field that the relay put in front. What is left of a damaged one is written
// too, before that is said.
func (d desk) export(id string) error {
	r, _, err := d.store.Get(context.Background(), id)
	if err != nil {
		return err
	}
	b, err := d.store.Open(context.Background(), id)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.Copy(d.e.stdout, io.NewSectionReader(b, r.Trace, b.Size()-r.Trace))
	return errors.Join(err, b.Check())
}

func (d desk) steer(id string, a queue.Action) error {
	if err := d.store.Apply(context.Background(), id, a, operator()); err != nil {
		return err
	}
	return d.done(string(a), "id", id)
}

// done says what was done to the message or lane that kind and name tell.
func (d desk) done(action, kind, name string) error {
	if d.json {
		return d.encoder().Encode(map[string]string{kind: name, "done": action})
	}
	_, err := fmt.Fprintf(d.e.stdout, "%s %s\n", action, text.Printable(name))
	return err
}

func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
