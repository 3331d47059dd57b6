package delivery

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecurring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		r := recurring{fault: "broken", over: "mended"}
		count := func(what string, want int) {
			t.Helper()
			if n := strings.Count(text.String(), "msg="+what); n != want {
				t.Errorf("the log says %d times %q, want %d", n, what, want)
			}
		}
		r.note(log, nil)
		count("mended", 0)
		for range 61 { // a minute
			r.note(log, errors.New("away"))
			time.Sleep(time.Second)
		}
		count("broken", 3)
		r.note(log, nil)
		r.note(log, nil)
		count("mended", 1)
		r.note(log, errors.New("away")) // which is another one
		count("broken", 4)
	})
}
