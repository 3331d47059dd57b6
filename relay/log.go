package relay

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
)

// NewLog returns the logger that the configuration asks for.
func NewLog(w io.Writer, c config.Log) *slog.Logger {
	levels := map[config.LogLevel]slog.Level{
		config.LevelDebug: slog.LevelDebug, config.LevelInfo: slog.LevelInfo,
		config.LevelWarn: slog.LevelWarn, config.LevelError: slog.LevelError,
	}
	opts := &slog.HandlerOptions{Level: levels[c.Level]}
	if c.Format == config.FormatText || c.Format == config.FormatAuto && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(text.JSONWriter(w), opts))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
