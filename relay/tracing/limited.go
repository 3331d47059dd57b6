package tracing

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"graphrelay/internal/text"
)

// sayEvery is how often the log is told that spans are dropped.
const sayEvery = time.Hour

// limited drops spans when too many wait for their export, and counts them. The processor below it,
// which has room for as many, would drop them uncounted.
type limited struct {
	sdktrace.SpanProcessor
	dropped prometheus.Counter
	log     func() *slog.Logger
	waiting atomic.Int64
	said    atomic.Int64 // in seconds of Unix time
}

var errTooMany = errors.New("too many spans wait for their export")

// OnEnd implements sdktrace.SpanProcessor.
func (l *limited) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if l.waiting.Add(1) > mostWaiting {
		l.waiting.Add(-1)
		l.drop(1, errTooMany)
		return
	}
	l.SpanProcessor.OnEnd(s)
}

// drop counts spans, and logs why once in a while.
func (l *limited) drop(spans int, err error) {
	l.dropped.Add(float64(spans))
	now := time.Now().Unix()
	said := l.said.Load()
	if said != 0 && now-said < int64(sayEvery.Seconds()) || !l.said.CompareAndSwap(said, now) {
		return
	}
	l.log().Warn("traces cannot be exported and are dropped; mail is not affected", "error", clean(err))
}

// clean returns the text of an error, which may quote the answer of a collector.
func clean(err error) string { return text.Shorten(text.Printable(err.Error()), 500) }

// counting is an exporter that tells limited what has left.
type counting struct {
	sdktrace.SpanExporter
	limited *limited
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error, since that has been counted.
func (c counting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	c.limited.waiting.Add(-int64(len(spans)))
	if err != nil {
		c.limited.drop(len(spans), err)
	}
	return nil
}
