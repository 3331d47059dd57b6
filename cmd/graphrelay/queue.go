package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/queueview"
)

const queueActions = "list, show, hold, release, retry, delete, export, lanes, pause or resume"

func queueCommand(e env, args []string) int {
	fs := flags(e, "queue")
	path := fs.String("config", "", "configuration `file`")
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	var list listFlags
	list.add(fs)
	pauseFor := fs.Duration("for", 0, "with pause, how long to pause (default: until resume)")
	operands, status, ok := parse(e, fs, args)
	if !ok {
		return status
	}
	if len(operands) == 0 {
		return badUsage(e, fs, "say what to do: "+queueActions)
	}
	action, names := operands[0], operands[1:]
	if action != "list" && action != "lanes" && len(names) == 0 {
		return badUsage(e, fs, "name the queue ID of a message, which queue list shows, or with pause and resume a lane, which queue lanes shows")
	}
	filter, err := list.filter()
	if err != nil {
		return badUsage(e, fs, err.Error())
	}
	cfg, store, status := openQueue(e, *path)
	if store == nil {
		return status
	}
	defer store.Close()
	q := queueTool{store: store, print: queueview.Printer{Out: e.stdout, JSON: *asJSON}, out: e.stdout}
	for _, c := range cfg.Connections {
		q.connections = append(q.connections, c.Name)
	}
	switch action {
	case "list":
		return result(e, q.list(filter))
	case "lanes":
		return result(e, q.lanes())
	}
	do := q.action(action, *pauseFor)
	if do == nil {
		return badUsage(e, fs, fmt.Sprintf("unknown action %q; choose from %s", action, queueActions))
	}
	return each(e, names, do)
}

// openQueue opens the queue of a running or stopped relay. It reads the configuration
// without the secrets, which an operator's shell may not have.
func openQueue(e env, path string) (*config.Config, *queue.Queue, int) {
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
	store, err := relay.OpenQueue(context.Background(), cfg, false)
	if err != nil {
		return nil, nil, fault(e, exitFault, err)
	}
	return cfg, store, exitOK
}

func result(e env, err error) int {
	if err != nil {
		return fault(e, exitFault, err)
	}
	return exitOK
}

// each calls do with each name. It goes on after an error.
func each(e env, names []string, do func(name string) error) int {
	status := exitOK
	for _, name := range names {
		if err := do(name); err != nil {
			status = fault(e, exitFault, fmt.Errorf("%s: %w%s", text.Printable(name), err, queueHint(err)))
		}
	}
	return status
}

// queueHint returns what the operator can do about an error, or nothing.
func queueHint(err error) string {
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return "; graphrelay queue list shows the messages"
	case errors.Is(err, queue.ErrState):
		return "; graphrelay queue show has the details"
	}
	return ""
}

// queueTool performs the actions on a queue.
type queueTool struct {
	store interface {
		queue.Inspector
		queue.Controller
	}
	print       queueview.Printer
	out         io.Writer
	connections []string // of the configuration, by name
}

// action returns the function that performs an action on one message or lane, or nil if the
// action is unknown.
func (q queueTool) action(action string, pauseFor time.Duration) func(name string) error {
	switch action {
	case "pause":
		return func(lane string) error { return q.pause(lane, pauseFor) }
	case "resume":
		return q.resume
	case "show":
		return q.show
	case "export":
		return q.export
	case "hold", "release", "retry", "delete":
		return func(id string) error { return q.apply(id, queue.Action(action)) }
	}
	return nil
}

func (q queueTool) list(f queue.Filter) error {
	records, err := q.store.List(context.Background(), f)
	if err != nil {
		return err
	}
	return q.print.Messages(records)
}

func (q queueTool) show(id string) error {
	r, events, err := q.store.Get(context.Background(), id)
	if err != nil {
		return err
	}
	return q.print.Message(r, events)
}

// export writes the message byte for byte as it was received, without the Received field
// that the relay put in front. It writes what is left of a damaged one too, and then
// returns the error.
func (q queueTool) export(id string) error {
	r, _, err := q.store.Get(context.Background(), id)
	if err != nil {
		return err
	}
	b, err := q.store.Open(context.Background(), id)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.Copy(q.out, io.NewSectionReader(b, r.Trace, b.Size()-r.Trace))
	return errors.Join(err, b.Check())
}

func (q queueTool) apply(id string, a queue.Action) error {
	if err := q.store.Apply(context.Background(), id, a, operator()); err != nil {
		return err
	}
	return q.print.Done(string(a), "id", id)
}

// operator returns the name of the user that runs the command.
func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
