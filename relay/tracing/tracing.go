// Package tracing exports traces of messages by OTLP over HTTP.
//
// Each message is one trace. Its root is the span "accept", and below it are the wait for the
// first attempt, each attempt, and in an attempt each request to Graph. The IDs of the trace and
// of its root are derived from the queue ID, so that nothing has to be stored for the trace to go
// on after a restart or on another node.
//
// A span has no content, subject or secret, and addresses only if they are asked for. Where spans go
// and which are kept is configured by the environment variables that OpenTelemetry defines.
// Mail does not wait for the export: spans that find no room are dropped and counted.
package tracing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// mostWaiting is how many spans wait for their export at most, which take about 2 KB each.
const mostWaiting = 4096

// Provider makes and exports spans. It lasts until the process ends.
type Provider struct {
	sdk    *sdktrace.TracerProvider
	tracer trace.Tracer
}

// NewDropped returns the metric that counts spans which were not exported.
func NewDropped() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "graphrelay_trace_spans_dropped_total",
		Help: "Spans that were not exported, because the collector did not take them or they were too many."})
}

// NewProvider returns a Provider that names the program's version and this node. It fails if the
// environment variables cannot be used. It makes no request yet.
func NewProvider(version, node string, dropped prometheus.Counter, log func() *slog.Logger) (*Provider, error) {
	ctx := context.Background()
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "graphrelay"), attribute.String("service.version", version), attribute.String("service.instance.id", node)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	// The SDK writes to standard error otherwise. What it cannot export, limited has counted.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log().Debug("traces", "error", clean(err)) }))
	l := &limited{dropped: dropped, log: log}
	l.SpanProcessor = sdktrace.NewBatchSpanProcessor(counting{exporter, l}, sdktrace.WithMaxQueueSize(mostWaiting))
	sdk := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(l), sdktrace.WithResource(res), sdktrace.WithIDGenerator(ids{}))
	return &Provider{sdk: sdk, tracer: sdk.Tracer("graphrelay", trace.WithInstrumentationVersion(version))}, nil
}

// Close exports the spans that wait, until ctx is done.
func (p *Provider) Close(ctx context.Context) error { return p.sdk.Shutdown(ctx) }

// root is a context key for the queue ID whose root is being started.
type root struct{}

// ids gives the root of a message the IDs that follow from its queue ID, and any other span a
// random one.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator. It is called for a span without a parent.
func (ids) NewIDs(ctx context.Context) (t trace.TraceID, s trace.SpanID) {
	id, _ := ctx.Value(root{}).(string)
	return IDs(id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (s trace.SpanID) {
	_, _ = rand.Read(s[:]) // never fails since Go 1.24
	return s
}

// IDs returns the IDs of the trace and of the root of a message: the first 16 and the next 8 bytes
// of the SHA-256 of "graphrelay trace " and its queue ID.
func IDs(queueID string) (t trace.TraceID, s trace.SpanID) {
	sum := sha256.Sum256([]byte("graphrelay trace " + queueID))
	copy(t[:], sum[:16])
	copy(s[:], sum[16:24])
	return t, s
}

// start starts the root of a message, or a span below it. Whether a trace is kept is decided by its ID
// and OTEL_TRACES_SAMPLER, so that each process decides alike: what is below is given a root that was
// started again, and never ends.
func (p *Provider) start(ctx context.Context, queueID string, isRoot bool, name string, at time.Time, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	rooted := trace.ContextWithSpanContext(context.WithValue(ctx, root{}, queueID), trace.SpanContext{})
	options = append(options, trace.WithTimestamp(at))
	if isRoot {
		return p.tracer.Start(rooted, name, options...)
	}
	_, again := p.tracer.Start(rooted, rootName)
	return p.tracer.Start(trace.ContextWithSpanContext(ctx, again.SpanContext()), name, options...)
}
