package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

func (q queueTool) lanes() error {
	lanes, err := q.store.Lanes(context.Background())
	if err != nil {
		return err
	}
	return q.print.Lanes(lanes)
}

// parseLane reads a lane as queue list and queue lanes show it, or a connection, which
// stands for all of its lanes. The connection must be one of the configuration: a
// misspelt one would pause nothing.
func (q queueTool) parseLane(name string) (queue.Lane, error) {
	l := queue.ParseLane(name)
	if !slices.Contains(q.connections, l.Connection) {
		return queue.Lane{}, fmt.Errorf("the configuration has no connection %s; write connection/mailbox, or a connection for all of its lanes", text.Printable(l.Connection))
	}
	l.Mailbox = strings.ToLower(l.Mailbox)
	return l, nil
}

// pause pauses a lane, until resume if length is 0.
func (q queueTool) pause(name string, length time.Duration) error {
	l, err := q.parseLane(name)
	if err != nil {
		return err
	}
	if length < 0 {
		return errors.New("the time to pause is negative")
	}
	until := queue.Forever
	if length > 0 {
		until = q.store.Now().Add(length)
	}
	if err := q.store.Pause(context.Background(), l, until, reason.Operator); err != nil {
		return err
	}
	return q.print.Done("pause", "lane", name)
}

func (q queueTool) resume(name string) error {
	l, err := q.parseLane(name)
	if err != nil {
		return err
	}
	err = q.store.Resume(context.Background(), l)
	if errors.Is(err, queue.ErrNotFound) {
		return errors.New("it is not paused; graphrelay queue lanes shows which lanes are")
	}
	if err != nil {
		return err
	}
	return q.print.Done("resume", "lane", name)
}
