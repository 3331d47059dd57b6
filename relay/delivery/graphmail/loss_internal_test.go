package graphmail

import (
	"testing"

	"graphrelay/mime"
)

// What is mapped or repaired is in the report, but is no loss.
func TestFindings(t *testing.T) {
	for _, tt := range []struct {
		note mime.Note
		want Loss
	}{
		{mime.Note{Kind: "dropped", What: "1.2", Detail: "x"}, LossPart},
		{mime.Note{Kind: "dropped", What: "message", Detail: "x"}, LossPart},
		{mime.Note{Kind: "dropped", What: "Subject", Detail: "x"}, LossHeader},
		{mime.Note{Kind: "limit", What: "1", Detail: "x"}, LossLimit},
		{mime.Note{Kind: "limit", What: "report", Detail: "x"}, ""},
		{mime.Note{Kind: "mapped", What: "1", Detail: "x"}, ""},
		{mime.Note{Kind: "salvaged", What: "1", Detail: "x"}, ""},
	} {
		want := finding{tt.want, tt.note.Kind + " " + tt.note.What + ": x"}
		if got := findings(mime.Report{Notes: []mime.Note{tt.note}}); len(got) != 1 || got[0] != want {
			t.Errorf("%+v: %+v", tt.note, got)
		}
	}
}
