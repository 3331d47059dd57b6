package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"graphrelay/internal/calls"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// The IDs are in the documentation: another version of the program has to derive the same.
func TestIDs(t *testing.T) {
	trace, root := IDs("06h2spkdk5sn1w1g")
	if trace.String() != "3665ec53ac5a831bee3b10d058dd55c3" || root.String() != "729d49abac2ac410" {
		t.Errorf("trace %s, root %s", trace, root)
	}
}

func provider(processors ...sdktrace.SpanProcessor) *Provider {
	options := []sdktrace.TracerProviderOption{sdktrace.WithIDGenerator(ids{})}
	for _, p := range processors {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	sdk := sdktrace.NewTracerProvider(options...)
	return &Provider{sdk: sdk, tracer: sdk.Tracer("test")}
}

func record(id string) queue.Record {
	return queue.Record{ID: id, Received: time.Now(), Entry: queue.Entry{
		Lane: queue.Lane{Connection: "contoso", Mailbox: "mailbox@contoso.test"}, Subject: "the subject",
		Envelope: queue.Envelope{From: "from@contoso.test", To: []string{"to@example.test"}},
	}, Status: queue.Status{Attempts: 1}}
}

// run makes the spans of a message that two processes work on.
func run(t *testing.T, addresses bool) []sdktrace.ReadOnlySpan {
	t.Helper()
	first, second := tracetest.NewSpanRecorder(), tracetest.NewSpanRecorder()
	m := record("message")
	a, b := Tracer{provider(first), addresses}, Tracer{provider(second), addresses}
	a.Accepted(smtpd.Acceptance{ID: m.ID, Started: time.Now(), Entry: m.Entry})
	ctx, end := b.Attempt(context.Background(), m)
	calls.Report(ctx, calls.Call{Operation: "create", Method: "POST", Host: "graph.test", Started: time.Now(), Status: 201, RequestID: "request"})
	calls.Report(calls.Resent(ctx), calls.Call{Operation: "send", Err: errors.New("the subject")})
	end(queue.Outcome{State: queue.Failed, Reason: "refused", Detail: "the subject", Notifications: []*queue.Submission{{ID: "notice"}}}, "")
	return append(first.Ended(), second.Ended()...)
}

// Spans of several processes are one trace, in which each has its parent.
func TestOneTrace(t *testing.T) {
	want, root := IDs("message")
	parents := map[string]string{}
	byID := map[string]string{"0000000000000000": ""}
	spans := run(t, true)
	for _, s := range spans {
		byID[s.SpanContext().SpanID().String()] = s.Name()
	}
	for _, s := range spans {
		if s.SpanContext().TraceID() == want {
			parents[s.Name()] = byID[s.Parent().SpanID().String()]
		}
	}
	if got := fmt.Sprint(parents); got != "map[accept: attempt:accept graph create:attempt graph send:attempt wait:accept]" {
		t.Error(got)
	}
	if byID[root.String()] != rootName {
		t.Errorf("the root is %q", byID[root.String()])
	}
	notice := spans[len(spans)-2]
	if id, _ := IDs("notice"); notice.SpanContext().TraceID() != id || len(notice.Links()) != 1 || notice.Links()[0].SpanContext.TraceID() != want {
		t.Errorf("the notification's root is %v", notice)
	}
}

// A span shows no subject and no text of an error, and addresses only if they are asked for.
func TestAddresses(t *testing.T) {
	for _, addresses := range []bool{false, true} {
		text := fmt.Sprintf("%+v", tracetest.SpanStubsFromReadOnlySpans(run(t, addresses)))
		for _, secret := range []string{"mailbox@", "from@", "to@"} {
			if strings.Contains(text, secret) != addresses {
				t.Errorf("addresses %v: %s: %s", addresses, secret, text)
			}
		}
		if strings.Contains(text, "subject") {
			t.Errorf("the subject: %s", text)
		}
	}
}

// A trace is kept or not as a whole, whichever process makes its spans.
func TestSampling(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
	kept := 0
	for i := range 50 {
		first, second := tracetest.NewSpanRecorder(), tracetest.NewSpanRecorder()
		m := record(fmt.Sprint(i))
		Tracer{Provider: provider(first)}.Accepted(smtpd.Acceptance{ID: m.ID, Entry: m.Entry})
		_, end := Tracer{Provider: provider(second)}.Attempt(context.Background(), m)
		end(queue.Outcome{State: queue.Sent}, "draft")
		if n := len(first.Ended()) + len(second.Ended()); n != 0 && n != 3 {
			t.Errorf("%d spans of one message", n)
		}
		kept += len(first.Ended())
	}
	if kept == 0 || kept == 50 {
		t.Errorf("%d of 50 are kept", kept)
	}
}

// stuck is an exporter that returns an error once it is let go.
type stuck chan struct{}

func (s stuck) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	<-s
	return errors.New("no room\nat all")
}

func (stuck) Shutdown(context.Context) error { return nil }

// Spans that a collector does not take are dropped without a wait, all of them are counted, and the
// log says so once.
func TestCollectorStuck(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	l := &limited{dropped: NewDropped(), log: func() *slog.Logger { return log }}
	exporter := make(stuck)
	l.SpanProcessor = sdktrace.NewBatchSpanProcessor(counting{exporter, l}, sdktrace.WithMaxQueueSize(mostWaiting))
	p := provider(l)
	const spans = mostWaiting + 1000
	for range spans {
		_, span := p.tracer.Start(context.Background(), "span")
		span.End()
	}
	if n := testutil.ToFloat64(l.dropped); n != 1000 {
		t.Errorf("%v spans were dropped at once", n)
	}
	close(exporter)
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(l.dropped); n != spans {
		t.Errorf("%v spans were dropped, of %d", n, spans)
	}
	if text := b.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "too many spans") {
		t.Errorf("the log says %s", text)
	}
}
