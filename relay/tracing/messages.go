package tracing

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"graphrelay/internal/calls"
	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// rootName is the root's name.
const rootName = "accept"

// Tracer makes the spans of messages.
type Tracer struct {
	Provider  *Provider
	Addresses bool // spans name mailboxes, senders, recipients and clients
}

var _ delivery.Tracer = Tracer{}

// Accepted makes the root of a message.
func (t Tracer) Accepted(a smtpd.Acceptance) {
	e := a.Entry
	attributes := t.common(a.ID, e.Lane, e.Envelope)
	attributes = append(attributes, attribute.String("messaging.operation.name", rootName), attribute.String("graphrelay.listener", e.Listener),
		attribute.Int64("messaging.message.envelope.size", a.Size))
	if t.Addresses {
		attributes = append(attributes, attribute.String("client.address", e.Client), attribute.String("user.name", e.User))
	}
	_, span := t.Provider.start(context.Background(), a.ID, true, rootName, a.Started, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	if a.Refused != "" {
		span.SetStatus(codes.Error, "")
		span.SetAttributes(attribute.String("error.type", string(a.Refused)))
	}
	span.End(trace.WithTimestamp(time.Now()))
}

// common returns what each span of a message says of it.
func (t Tracer) common(id string, lane queue.Lane, e queue.Envelope) []attribute.KeyValue {
	list := []attribute.KeyValue{
		attribute.String("messaging.system", "graphrelay"), attribute.String("messaging.message.id", id),
		attribute.String("graphrelay.connection", lane.Connection), attribute.Int("graphrelay.recipients", len(e.To)),
	}
	if t.Addresses {
		const most = 20
		list = append(list, attribute.String("graphrelay.mailbox", lane.Mailbox), attribute.String("graphrelay.from", e.From),
			attribute.StringSlice("graphrelay.to", slices.Clone(e.To[:min(most, len(e.To))])))
	}
	return list
}

// Attempt implements delivery.Tracer.
func (t Tracer) Attempt(ctx context.Context, m queue.Record) (context.Context, func(queue.Outcome, string)) {
	now := time.Now()
	attributes := append(t.common(m.ID, m.Lane, m.Envelope), attribute.Int("graphrelay.attempt", m.Attempts))
	if m.Attempts <= 1 {
		_, wait := t.Provider.start(ctx, m.ID, false, "wait", m.Received, trace.WithAttributes(attributes...))
		wait.End(trace.WithTimestamp(now))
	}
	ctx, span := t.Provider.start(ctx, m.ID, false, "attempt", now, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(append(attributes, attribute.String("messaging.operation.name", "attempt"), attribute.String("messaging.operation.type", "process"))...))
	ctx = calls.With(ctx, func(c calls.Call) { t.call(ctx, c, m.Attempts) })
	return ctx, func(o queue.Outcome, path string) {
		span.SetAttributes(attribute.String("graphrelay.state", string(o.State)))
		if path != "" {
			span.SetAttributes(attribute.String("graphrelay.path", path))
		}
		if o.State != queue.Sent && o.State != queue.Queued {
			span.SetAttributes(attribute.String("error.type", string(o.Reason)))
			span.SetStatus(codes.Error, "")
		}
		for _, n := range o.Notifications {
			t.notified(span.SpanContext(), n)
		}
		span.End()
	}
}

// notified makes the root of a message of the relay's own, which is about another one.
func (t Tracer) notified(about trace.SpanContext, n *queue.Submission) {
	_, span := t.Provider.start(context.Background(), n.ID, true, rootName, time.Now(),
		trace.WithAttributes(append(t.common(n.ID, n.Lane, n.Envelope), attribute.String("messaging.operation.name", "notify"))...),
		trace.WithLinks(trace.Link{SpanContext: about}))
	span.End()
}

// call makes the span of a request to Graph or for a token. The texts of errors stay away from
// it, since they may quote what a message says.
func (t Tracer) call(ctx context.Context, c calls.Call, attempt int) {
	attributes := []attribute.KeyValue{attribute.String("graphrelay.operation", c.Operation), attribute.Int("graphrelay.attempt", attempt)}
	if c.Method != "" {
		attributes = append(attributes, attribute.String("http.request.method", c.Method), attribute.String("server.address", c.Host))
	}
	if c.Status != 0 {
		attributes = append(attributes, attribute.Int("http.response.status_code", c.Status))
	}
	if c.RequestID != "" {
		attributes = append(attributes, attribute.String("graphrelay.request_id", c.RequestID))
	}
	if c.Resent {
		attributes = append(attributes, attribute.Int("http.request.resend_count", 1))
	}
	_, span := t.Provider.tracer.Start(ctx, "graph "+c.Operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(c.Started), trace.WithAttributes(attributes...))
	if c.Err != nil {
		span.SetAttributes(attribute.String("error.type", errorType(c)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
