package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/queueview"
)

func queueCommand(e env) *cobra.Command {
	o := &queueOptions{env: e}
	c := group(&cobra.Command{
		Use:   "queue",
		Short: "inspect and control the queue",
		Long: `Inspects and controls the queue, whether the relay runs or not. Run it as the user that the
relay runs as.`,
		Example: `  graphrelay queue list --state deferred,held
  graphrelay queue show 06rq2p8k1v4t9x3m
  graphrelay queue pause contoso/crm@contoso.com --for 1h`,
	},
		queueListCommand(o),
		queueShowCommand(o),
		queueActionCommand(o, queue.Hold, "stop messages that wait or are in delivery", "Holds messages: they stay in the queue and are not tried until release or retry."),
		queueActionCommand(o, queue.Release, "let held messages go on", "Releases held messages: they are tried when their lane lets them."),
		queueActionCommand(o, queue.Retry, "try messages now, failed ones included", "Tries messages now that wait, are held or have failed. It ends the pauses of their lanes, except an operator's."),
		queueActionCommand(o, queue.Delete, "delete messages", "Deletes messages that are not in delivery, and their content. Nobody is told. The record stays as long as that of a sent message; queue list --state deleted shows it."),
		queueExportCommand(o),
		lanesCommand(o),
		pauseCommand(o),
		resumeCommand(o),
		queueLogCommand(o),
		queueMoveCommand(o),
		queueRestoredCommand(o),
	)
	o.file = configFlag(c)
	c.PersistentFlags().BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
	return c
}

// queueOptions are what the commands of the queue have in common.
type queueOptions struct {
	env
	file   *string
	asJSON bool
}

// open calls do with the queue of a running or stopped relay.
func (o *queueOptions) open(do func(q queueTool) error) error {
	// The secrets are left out: an operator's shell may not have them.
	cfg, _, err := readConfig(o.env, *o.file, func(path string) (*config.Config, error) {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("graphrelay: %w; run the command as the user that the relay runs as", err)
		}
		if err != nil {
			return nil, fmt.Errorf("graphrelay: %w", err)
		}
		cfg, err := config.Parse(data, path)
		if err == nil {
			err = cfg.Queue.ReadURL(path)
		}
		return cfg, err
	})
	if err != nil {
		return err
	}
	store, err := relay.OpenQueue(context.Background(), cfg, false)
	if err != nil {
		return err
	}
	defer store.Close()
	q := queueTool{env: o.env, store: store, print: queueview.Printer{Out: o.stdout, JSON: o.asJSON}}
	for _, c := range cfg.Connections {
		q.connections = append(q.connections, c.Name)
	}
	return do(q)
}

// each opens the queue and calls do with each name. It goes on after an error, which it
// prints.
func (o *queueOptions) each(names []string, do func(q queueTool, name string) error) error {
	return o.open(func(q queueTool) error {
		_, err := q.each(names, do)
		return err
	})
}

// change is each for what changes messages or lanes: it records who does what.
func (o *queueOptions) change(action string, names []string, do func(q queueTool, name string) error) error {
	return o.open(func(q queueTool) error {
		return q.audited(action, named(names), func() (int64, error) { return q.each(names, do) })
	})
}

// each returns for how many names do succeeded.
func (q queueTool) each(names []string, do func(q queueTool, name string) error) (done int64, failed error) {
	for _, name := range names {
		if err := do(q, name); err != nil {
			fault(q.env, fmt.Errorf("%s: %w%s", cmp.Or(text.Printable(name), `""`), err, queueHint(err)))
			failed = exitError{status: exitFault}
			continue
		}
		done++
	}
	return done, failed
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
	env
	store interface {
		queue.Inspector
		queue.Controller
	}
	print       queueview.Printer
	connections []string // of the configuration, by name
}

// someMessages is the Args of a command on messages.
func someMessages(_ *cobra.Command, ids []string) error {
	if len(ids) == 0 {
		return usagef("name the queue ID of a message, which queue list shows")
	}
	return nil
}

func queueShowCommand(o *queueOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID...",
		Short: "show all of a message, with its history",
		Long: `Shows what is known of messages, and each step of their delivery with Graph's request IDs.
The status is 1 for a message that is not there, and for a deleted one, whose record is shown all
the same.`,
		Example: "  graphrelay queue show 06rq2p8k1v4t9x3m",
		Args:    someMessages,
		RunE:    func(_ *cobra.Command, ids []string) error { return o.each(ids, queueTool.show) },
	}
}

func (q queueTool) show(id string) error {
	r, events, err := q.store.Get(context.Background(), id)
	if err != nil {
		return err
	}
	if err := q.print.Message(r, events); err != nil || r.State != queue.Deleted {
		return err
	}
	return fmt.Errorf("it was deleted %s; only its record is left", r.Detail)
}

func queueExportCommand(o *queueOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "export ID...",
		Short:   "write the original message",
		Long:    "Writes messages to standard output byte for byte as they were received.",
		Example: "  graphrelay queue export 06rq2p8k1v4t9x3m > message.eml",
		Args:    someMessages,
		RunE:    func(_ *cobra.Command, ids []string) error { return o.each(ids, queueTool.export) },
	}
}

// export writes the message byte for byte as it was received, without the Received field
// that the relay put in front. It writes what is left of a damaged one too, and then
// returns the error.
func (q queueTool) export(id string) error {
	r, _, err := q.store.Get(context.Background(), id)
	if err != nil {
		return err
	}
	if !r.HasContent {
		return fmt.Errorf("its content is gone, since it is %s", r.State)
	}
	b, err := q.store.Open(context.Background(), id)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.Copy(q.stdout, io.NewSectionReader(b, r.Trace, b.Size()-r.Trace))
	return errors.Join(err, b.Check())
}
