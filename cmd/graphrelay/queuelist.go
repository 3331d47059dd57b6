package main

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"graphrelay/relay/queue"
	"graphrelay/relay/queueview"
)

func queueListCommand(o *queueOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "list messages, the oldest first",
		Long: `Lists messages, the oldest first: all but the sent and deleted ones, unless --state says
otherwise. WHY is the reason for which a message waits or has ended; see docs/operations.md.`,
		Example: `  graphrelay queue list
  graphrelay queue list --state failed --older 1d
  graphrelay queue list --lane contoso/crm@contoso.com --json
  graphrelay queue list --state all --since "2026-11-29 14:00" --subject invoice`,
		Args: noOperands,
	}
	var list filterFlags
	list.add(c, 1000)
	c.RunE = func(*cobra.Command, []string) error {
		f, err := list.filter()
		if err != nil {
			return usageError{err}
		}
		return o.open(func(q queueTool) error { return q.list(f) })
	}
	return c
}

// listPage is how many messages are read at a time.
const listPage = 1000

// list prints messages as it reads them. If there are more than the limit, it prints on standard
// error how many there are.
func (q queueTool) list(f queue.Filter) error {
	ctx, all, limit := context.Background(), f, f.Limit
	for shown := 0; ; {
		f.Limit = listPage
		if limit > 0 {
			f.Limit = min(listPage, limit-shown)
		}
		list, err := q.ops.Messages(ctx, f)
		if err != nil {
			return err
		}
		if len(list) > 0 || shown == 0 {
			if err := q.print.Messages(list, shown == 0); err != nil {
				return err
			}
		}
		shown += len(list)
		switch {
		case shown == limit && limit > 0:
			return q.sayMore(ctx, all, shown)
		case len(list) < f.Limit:
			return nil
		}
		f.After = list[len(list)-1].ID
	}
}

func (q queueTool) sayMore(ctx context.Context, f queue.Filter, shown int) error {
	total, err := q.ops.Count(ctx, f)
	if err == nil && total > int64(shown) {
		fmt.Fprintf(q.stderr, "%s of %s; --limit shows more\n", humanize.Comma(int64(shown)), queueview.Messages(total))
	}
	return err
}
