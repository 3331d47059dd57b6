package winservice

import (
	"log/slog"
	"time"

	"golang.org/x/sys/windows/svc/eventlog"
)

// The numbers of events, by their level.
const (
	warningEvent = 2
	errorEvent   = 3
)

// OpenEvents returns the event log of Windows, with the service as the source.
func OpenEvents() (*Events, error) {
	log, err := eventlog.Open(Name)
	if err != nil {
		return nil, err
	}
	return &Events{now: time.Now, report: func(level slog.Level, text string) error {
		if level >= slog.LevelError {
			return log.Error(errorEvent, text)
		}
		return log.Warning(warningEvent, text)
	}}, nil
}
