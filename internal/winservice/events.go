package winservice

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"graphrelay/internal/text"
)

const (
	// eventsAMinute bounds how many events are reported: a fault of the network repeats with each
	// message, and the event log has a size.
	eventsAMinute = 30
	// maxEvent is the most bytes of an event. Windows takes 31,839 characters (ReportEventW).
	maxEvent = 8 << 10
)

// Events is a log of events: those of Windows, which administrators watch. It has few and short
// entries, beside a log that has all of them. It is safe for concurrent use.
type Events struct {
	// report writes an event.
	report func(level slog.Level, text string) error
	now    func() time.Time

	mu    sync.Mutex
	entry bytes.Buffer // that is being formatted
	since time.Time    // the minute that is counted
	count int
}

// add reports an event, unless there were too many in this minute. The caller holds e.mu.
func (e *Events) add(level slog.Level, line string) {
	if now := e.now(); now.Sub(e.since) >= time.Minute || now.Before(e.since) {
		e.since, e.count = now, 0
	}
	e.count++
	switch {
	case e.count < eventsAMinute:
		line = strings.TrimSpace(line)
		if len(line) > maxEvent {
			line = strings.ToValidUTF8(line[:maxEvent], "") + "..."
		}
		_ = e.report(level, text.Printable(line)) // the log has it too
	case e.count == eventsAMinute:
		_ = e.report(slog.LevelWarn, fmt.Sprintf("more than %d warnings and errors in a minute: the rest of them are in the log file (log.file) alone", eventsAMinute-1))
	}
}

// Handler returns a handler for warnings and errors.
func (e *Events) Handler() slog.Handler {
	withoutTime := func(groups []string, a slog.Attr) slog.Attr { // which events have themselves
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	return eventHandler{e, slog.NewTextHandler(&e.entry, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: withoutTime})}
}

// eventHandler has its text formatted by another handler.
type eventHandler struct {
	events *Events
	format slog.Handler // writes to events.entry
}

func (h eventHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (h eventHandler) Handle(ctx context.Context, r slog.Record) error {
	h.events.mu.Lock()
	defer h.events.mu.Unlock()
	h.events.entry.Reset()
	if err := h.format.Handle(ctx, r); err != nil {
		return err
	}
	h.events.add(r.Level, h.events.entry.String())
	return nil
}

func (h eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return eventHandler{h.events, h.format.WithAttrs(attrs)}
}

func (h eventHandler) WithGroup(name string) slog.Handler {
	return eventHandler{h.events, h.format.WithGroup(name)}
}

// Lines returns a writer that takes the place of standard error, which a service does not have.
// Each Write is an error.
func (e *Events) Lines() io.Writer { return eventLines{e} }

type eventLines struct{ events *Events }

func (l eventLines) Write(p []byte) (int, error) {
	l.events.mu.Lock()
	defer l.events.mu.Unlock()
	l.events.add(slog.LevelError, string(p))
	return len(p), nil
}

// Fallback returns a writer for what a log file does not take. Entries of the log are left out:
// what matters of them comes through Handler. What says why the file does not take them is reported.
func (e *Events) Fallback() io.Writer { return eventFallback{e.Lines()} }

type eventFallback struct{ lines io.Writer }

func (f eventFallback) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte(Name+": ")) {
		return f.lines.Write(p)
	}
	return len(p), nil
}
