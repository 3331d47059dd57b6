package relay

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"graphrelay/internal/buildinfo"
	"graphrelay/internal/logfile"
	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// NewLog returns the logger that the configuration asks for. The handlers in also get its entries.
func NewLog(w io.Writer, c config.Log, also ...slog.Handler) *slog.Logger {
	levels := map[config.LogLevel]slog.Level{
		config.LevelDebug: slog.LevelDebug, config.LevelInfo: slog.LevelInfo,
		config.LevelWarn: slog.LevelWarn, config.LevelError: slog.LevelError,
	}
	opts := &slog.HandlerOptions{Level: levels[c.Level]}
	if c.Format == config.FormatText || c.Format == config.FormatAuto && isTerminal(w) {
		return newLogger(slog.NewTextHandler(w, opts), also)
	}
	return newLogger(slog.NewJSONHandler(text.JSONWriter(w), opts), also)
}

func newLogger(first slog.Handler, also []slog.Handler) *slog.Logger {
	if len(also) == 0 {
		return slog.New(first)
	}
	return slog.New(slog.NewMultiHandler(append([]slog.Handler{first}, also...)...))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// openLog returns the log file that the configuration asks for, or nil. That is current, which is
// in use, if it has the same path. What the file does not take goes to fallback.
func openLog(c config.Log, current *logfile.File, fallback io.Writer) (*logfile.File, error) {
	switch {
	case c.File == "":
		return nil, nil
	case current != nil && current.Path() == c.File:
		return current, nil
	}
	file, err := logfile.Open(c.File, rotation(c), fallback)
	if err != nil {
		return nil, fmt.Errorf("log.file: %w", err)
	}
	return file, nil
}

// closeLog closes a log file unless it is the one that stays in use. What is logged later goes to
// where the log goes without a file.
func closeLog(file, used *logfile.File) {
	if file != nil && file != used {
		_ = file.Close()
	}
}

func rotation(c config.Log) logfile.Rotation {
	return logfile.Rotation{Size: int64(c.MaxSize), Files: c.MaxFiles, Age: time.Duration(c.MaxAge)}
}

func logWriter(file *logfile.File, fallback io.Writer) io.Writer {
	if file == nil {
		return fallback
	}
	return file
}

// reopenLog opens the log file by its name again, since another program may have renamed it.
func (r *Relay) reopenLog() {
	r.mu.Lock()
	file := r.logFile
	r.mu.Unlock()
	if file == nil {
		return
	}
	if err := file.Reopen(); err != nil {
		r.Log().Error("cannot open the log file again; the one before stays in use", "error", err)
	}
}

// startLine returns what the log says first: which program begins to serve what, on which queue.
func startLine(cfg *config.Config, about buildinfo.Info, node queue.Node) []any {
	engine := "sqlite"
	if cfg.Queue.Shared() {
		engine = "postgresql"
	}
	var listeners, connections, mailboxes []string
	for _, l := range cfg.Listeners {
		listeners = append(listeners, fmt.Sprintf("%s at %s, tls %s, auth %s", l.Name, l.Address, l.TLS, l.Auth))
	}
	for _, c := range cfg.Connections {
		connections = append(connections, fmt.Sprintf("%s for %s, sign_in %s", c.Name, strings.Join(firstOf(c.Domains), " "), c.SignIn))
	}
	for _, s := range cfg.Senders {
		mailboxes = append(mailboxes, cmp.Or(s.Mailbox, "that of each sender"))
	}
	slices.Sort(mailboxes)
	return []any{
		"version", about.Version, "commit", about.Revision, "go", about.GoVersion,
		"queue", engine, "node", node.Name, "data_dir", cfg.DataDir, "listeners", firstOf(listeners),
		"connections", firstOf(connections), "mailboxes", firstOf(slices.Compact(mailboxes)), "admin", cfg.Admin.Address,
	}
}

// firstOf returns the first items of a list, which may be long, and how many others there are.
func firstOf(list []string) []string {
	const most = 20
	if len(list) <= most {
		return list
	}
	return append(slices.Clone(list[:most]), fmt.Sprintf("and %d more", len(list)-most))
}
