package relay

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/config"
	"graphrelay/relay/tracing"
)

// tracesGrace is how long a stop waits for the export of traces.
const tracesGrace = 3 * time.Second

// traces exports the traces of messages, once a configuration has asked for them.
type traces struct {
	dropped  prometheus.Counter
	provider atomic.Pointer[tracing.Provider]
}

// tracer returns what makes the traces that the configuration asks for, nil if it asks for none.
// The caller holds swapping.
func (r *Relay) tracer(cfg *config.Config) (*tracing.Tracer, error) {
	if !cfg.Log.Traces {
		return nil, nil
	}
	if r.traces.provider.Load() == nil {
		p, err := tracing.NewProvider(r.about.Version, r.node.Name, r.traces.dropped, r.Log)
		if err != nil {
			return nil, err
		}
		r.traces.provider.Store(p)
	}
	return &tracing.Tracer{Provider: r.traces.provider.Load(), Addresses: cfg.Log.Recipients}, nil
}

// close exports what waits. What the collector does not take by then is lost.
func (t *traces) close() {
	if p := t.provider.Load(); p != nil {
		ctx, cancel := context.WithTimeout(context.Background(), tracesGrace)
		defer cancel()
		_ = p.Close(ctx)
	}
}
