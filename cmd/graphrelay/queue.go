package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/internal/text"
	"graphrelay/relay"
	"graphrelay/relay/api"
	"graphrelay/relay/config"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
	"graphrelay/relay/queueview"
)

func queueCommand(e env) *cobra.Command {
	o := &queueOptions{env: e}
	c := group(&cobra.Command{
		Use:   "queue",
		Short: "inspect and control the queue",
		Long: `Inspects and controls the queue, whether the relay runs or not: by way of the relay if it does, even
if its configuration file has got a fault since. Run it as the user that the relay runs as. --url
names a relay on another machine.`,
		Example: `  graphrelay queue list --state deferred,held
  graphrelay queue show 06rq2p8k1v4t9x3m
  graphrelay queue pause contoso/crm@contoso.com --for 1h
  graphrelay queue list --url https://relay.contoso.com:9025 --token-file token.secret`,
	},
		queueListCommand(o),
		queueShowCommand(o),
		queueActionCommand(o, queue.Hold, "stop messages that wait or are in delivery", "Holds messages: they stay in the queue and are not tried until release or retry."),
		queueActionCommand(o, queue.Release, "let held messages go on", "Releases held messages: they are tried when their lane lets them.\nOne that is held as send_unknown may have been sent before, and its recipients may then get it a\nsecond time: ask one of them first."),
		queueActionCommand(o, queue.Retry, "try messages now, failed ones included", "Tries messages now that wait, are held or have failed. It ends the pauses of their lanes, except an operator's.\nOne that is held as send_unknown may have been sent before, and its recipients may then get it a\nsecond time: ask one of them first."),
		queueActionCommand(o, queue.Delete, "delete messages", "Deletes messages that are not in delivery, and their content. Nobody is told. The record stays as long as that of a sent message; queue list --state deleted shows it."),
		queueResendCommand(o),
		queueExportCommand(o),
		lanesCommand(o),
		pauseCommand(o),
		resumeCommand(o),
		queueLogCommand(o),
		queueMoveCommand(o),
		queueRestoredCommand(o),
	)
	o.addFlags(c)
	return c
}

// queueOptions are what the commands of the queue have in common.
type queueOptions struct {
	env
	file   *string
	remote remote
	asJSON bool
}

// addFlags adds the flags that they all have.
func (o *queueOptions) addFlags(c *cobra.Command) {
	o.file = configFlag(c)
	o.remote.addFlags(c)
	c.PersistentFlags().BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
}

// open calls do with the queue: by way of the relay that works on it, or, where none runs on this
// machine or it is of an older version, with the queue itself.
func (o *queueOptions) open(do func(q queueTool) error) error {
	tool := func(ops operations.Operations) queueTool {
		return queueTool{env: o.env, ops: ops, print: o.printer()}
	}
	if o.remote.given() {
		client, err := o.remote.client()
		if err != nil {
			return err
		}
		defer client.Close()
		return do(tool(client))
	}
	if dir, err := dataDir(*o.file); err == nil { // a relay that runs does not need a file without faults
		client := socketClient(dir)
		defer client.Close()
		if answers(client) {
			return do(tool(client))
		}
	}
	cfg, err := o.readConfig()
	if err != nil {
		return err
	}
	return o.withStore(cfg, func(local operations.Local) error { return do(tool(local)) })
}

// answerTime is how long a relay may take to say that it is there. After that its queue is opened
// beside it, which works as well.
const answerTime = 3 * time.Second

func answers(c api.Client) bool {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_, err := c.About(ctx)
	return err == nil
}

func (o *queueOptions) printer() queueview.Printer {
	return queueview.Printer{Out: o.stdout, JSON: o.asJSON}
}

// openStore calls do with the operations on the queue itself.
func (o *queueOptions) openStore(do func(local operations.Local) error) error {
	if o.remote.given() {
		return usagef("this needs the queue itself; run it on a machine of the relay, without --url")
	}
	cfg, err := o.readConfig()
	if err != nil {
		return err
	}
	return o.withStore(cfg, do)
}

func (o *queueOptions) withStore(cfg *config.Config, do func(local operations.Local) error) error {
	store, err := relay.OpenQueue(context.Background(), cfg, false)
	if err != nil {
		return err
	}
	defer store.Close()
	return do(operations.Local{Store: store, Connections: func() (names []string) {
		for _, c := range cfg.Connections {
			names = append(names, c.Name)
		}
		return names
	}})
}

// readConfig leaves the secrets out: an operator's shell may not have them.
func (o *queueOptions) readConfig() (*config.Config, error) {
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
	return cfg, err
}

// each opens the queue and calls do with each name. It goes on after an error, which it
// prints.
func (o *queueOptions) each(names []string, do func(q queueTool, name string) error) error {
	return o.open(func(q queueTool) error {
		var failed error
		for _, name := range names {
			if err := do(q, name); err != nil {
				failed = q.fail(name, err)
			}
		}
		return failed
	})
}

// queueTool performs the actions on a queue.
type queueTool struct {
	env
	ops   operations.Operations
	print queueview.Printer
}

// fail prints what went wrong with what is named, and returns the error that ends the command.
func (q queueTool) fail(name string, err error) error {
	fault(q.env, fmt.Errorf("%s: %w%s", cmp.Or(text.Printable(name), `""`), err, queueHint(err)))
	return exitError{status: exitFault}
}

// queueHint returns what the operator can do about an error, or nothing.
func queueHint(err error) string {
	var whole *operations.PausedAsWholeError
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return "; graphrelay queue list shows the messages"
	case errors.Is(err, queue.ErrState):
		return "; graphrelay queue show has the details"
	case errors.Is(err, operations.ErrNotPaused):
		return "; graphrelay queue lanes shows which lanes are"
	case errors.As(err, &whole):
		return fmt.Sprintf("; graphrelay queue resume %s ends that", whole.Lane)
	case errors.Is(err, operations.ErrNoNode):
		return "; graphrelay nodes lists them"
	}
	return ""
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
	m, err := q.ops.Message(context.Background(), id)
	if err != nil {
		return err
	}
	if err := q.print.Message(m); err != nil || m.State != queue.Deleted {
		return err
	}
	return fmt.Errorf("it was deleted %s; only its record is left", m.Detail)
}

func queueExportCommand(o *queueOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "export ID...",
		Short:   "write the original message",
		Long:    "Writes messages to standard output byte for byte as they were received. The log of what operators\ndid (queue log) records who has read which message.",
		Example: "  graphrelay queue export 06rq2p8k1v4t9x3m > message.eml",
		Args:    someMessages,
		RunE:    func(_ *cobra.Command, ids []string) error { return o.each(ids, queueTool.export) },
	}
}

func (q queueTool) export(id string) error {
	ctx := context.Background()
	if err := q.ops.RecordReading(ctx, actor(), operations.Exported, id); err != nil {
		fault(q.env, fmt.Errorf("%s is exported without a record of it: %w", id, err)) // from a disk that is full, say
	}
	return q.ops.Content(ctx, id, q.stdout)
}
