package alert

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Heartbeat is a URL that is requested while the relay takes mail.
type Heartbeat struct {
	URL   string // a secret; empty: none
	Every time.Duration
}

// run requests the URL until ctx is done. While ready returns an error it does not, so that
// whoever waits for the requests raises the alarm.
func (h Heartbeat) run(ctx context.Context, ready func() error, metrics *Metrics, log *slog.Logger) {
	fault := ""
	for {
		text := ""
		if ready() == nil {
			switch err := h.beat(ctx); {
			case err == nil:
				metrics.count(heartbeatChannel, resultOK)
			case ctx.Err() == nil:
				metrics.count(heartbeatChannel, resultFailed)
				text = err.Error()
			}
		}
		if text != "" && text != fault {
			log.Warn("the heartbeat cannot be sent", "error", text)
		}
		fault = text
		select {
		case <-ctx.Done():
			return
		case <-time.After(h.Every):
		}
	}
}

func (h Heartbeat) beat(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, http.NoBody)
	if err != nil {
		return withoutURL(err)
	}
	_, err = do(req)
	return err
}
