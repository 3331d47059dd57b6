package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay"
	"graphrelay/relay/config"
	"graphrelay/relay/queueview"
)

func queueMoveCommand(o *queueOptions) *cobra.Command {
	var to, file string
	c := &cobra.Command{
		Use:   "move {--to ADDRESS | --to-file FILE}",
		Short: "move the whole queue to a database, or to a folder",
		Long: `Moves all messages with their history, pauses and the log of operators' actions from the queue
of the configuration to a PostgreSQL database, or to a folder. Stop the relay first, and change
queue.url or data_dir in the configuration afterwards: the relay refuses to start on a queue
that was moved away.

If the move is interrupted, run the same command again: it goes on where it stopped, and no
message is lost or sent twice.

Do not write a password into the address, since other users can see the command line: let
--to-file name a file that has the address in it, or use ~/.pgpass or $PGPASSWORD.`,
		Example: `  graphrelay queue move --to postgres://graphrelay@db.contoso.test/graphrelay?sslmode=verify-full
  graphrelay queue move --to-file queue.secret
  graphrelay queue move --to /var/lib/graphrelay`,
		Args: noOperands,
		RunE: func(*cobra.Command, []string) error {
			if (to == "") == (file == "") {
				return usagef("give --to or --to-file: where the queue is to be moved")
			}
			if file != "" {
				data, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("graphrelay: %w", err)
				}
				to = strings.TrimSpace(string(data))
			}
			return o.move(to)
		},
	}
	c.Flags().StringVar(&to, "to", "", "the address of a database, or a folder")
	c.Flags().StringVar(&file, "to-file", "", "a file with the address of a database")
	return c
}

func (o *queueOptions) move(to string) error {
	cfg, _, err := readConfig(o.env, *o.file, config.Load)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	said := time.Now()
	n, err := relay.MoveQueue(ctx, cfg, to, func(moved, of int64) {
		if time.Since(said) > 2*time.Second {
			said = time.Now()
			fmt.Fprintf(o.stderr, "%d of %s\n", moved, queueview.Messages(of))
		}
	})
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; run the command again to go on")
	}
	if err != nil {
		return err
	}
	return o.printer().DoneAll("move", n, false)
}
