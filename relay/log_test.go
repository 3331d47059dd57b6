package relay

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
)

// Nothing that does not print reaches a log or JSON, and JSON still says the same.
func TestLogPrintable(t *testing.T) {
	const odd = "plain ü 😀 \r\n\t\x00\x1b[2J\x7f\u009b\u202e\u2066\u200f\u2028\ufeff\U000e0041\ue000\u00ad\xa0"
	var jsonLine, jsonLog, textLog bytes.Buffer
	if err := json.NewEncoder(text.JSONWriter(&jsonLine)).Encode(map[string]string{"text": odd}); err != nil {
		t.Fatal(err)
	}
	NewLog(&jsonLog, config.Log{Format: config.FormatJSON}).Info("x", "text", odd, slog.Group("y", "z", odd))
	NewLog(&textLog, config.Log{Format: config.FormatText}).Info("x", "text", odd)
	for name, b := range map[string]*bytes.Buffer{"JSON": &jsonLine, "the log as JSON": &jsonLog, "the log as text": &textLog} {
		line := b.String()
		if strings.Count(line, "\n") != 1 || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) && r != '\ufffd' }) {
			t.Errorf("%s is %q", name, line)
		}
	}
	for _, b := range []*bytes.Buffer{&jsonLine, &jsonLog} {
		var got struct{ Text string }
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Text != strings.ToValidUTF8(odd, "\ufffd") {
			t.Errorf("%q says %q, %v", b, got.Text, err)
		}
	}
}
