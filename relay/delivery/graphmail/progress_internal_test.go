package graphmail

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
)

var sentAt = time.Date(2026, 11, 5, 9, 30, 0, 123456000, time.UTC)

// The document of a message in delivery is read by later programs.
func TestProgressDocument(t *testing.T) {
	full := progress{Path: "draft", DraftWanted: true, DraftID: "AAk=", LateDraft: true, Attached: 2, UploadURL: "https://u",
		UploadOffset: 7, Send: sendAccepted, SendWanted: sentAt, Settle: sentAt.Add(time.Second), Lost: []uint32{7}}
	for want, p := range map[string]progress{
		`{}`: {},
		`{"path":"draft","draft_wanted":true,"draft_id":"AAk=","late_draft":true,"attached":2,"upload_url":"https://u","upload_offset":7,` +
			`"send":"accepted","send_wanted":"2026-11-05T09:30:00.123456Z","settle":"2026-11-05T09:30:01.123456Z","lost":[7]}`: full,
	} {
		if got := p.record(); string(got.Document) != want {
			t.Errorf("%+v is recorded as %s", p, got.Document)
		}
		if again, err := readProgress(queue.Progress{Document: json.RawMessage(want)}); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%s is read as %+v, %v", want, again, err)
		}
	}
	for _, bad := range []string{`{"attached":"two"}`, `[]`, `{"path":`} {
		if p, err := readProgress(queue.Progress{Document: json.RawMessage(bad), Leftover: true}); err == nil {
			t.Errorf("%s is read as %+v", bad, p)
		}
	}
}

// A document of a later program may have fields that are not known.
func TestProgressOfLaterPrograms(t *testing.T) {
	const document = `{"send":"refused","send_wanted":"2026-11-05T09:30:00+01:00","settle":"2026-11-05T09:35:00Z","new":{"a":[1]}}`
	if p, err := readProgress(queue.Progress{Document: json.RawMessage(document)}); err != nil || p.Send != sendRefused || p.SendWanted.IsZero() {
		t.Errorf("%s: %+v, %v", document, p, err)
	}
}

func TestProgressFacts(t *testing.T) {
	later := time.Now().Add(time.Hour)
	for name, tt := range map[string]struct {
		p        progress
		leftover bool
		doubt    delivery.Doubt
	}{
		"nothing":           {},
		"draft wanted":      {progress{Path: pathDraft, DraftWanted: true}, true, delivery.NotSent},
		"before the plan":   {progress{DraftWanted: true}, true, delivery.NotSent},
		"unknown by MIME":   {progress{Path: pathMIME, DraftWanted: true}, false, delivery.NotSent},
		"known by MIME":     {progress{Path: pathMIME, DraftWanted: true, DraftID: "AAk="}, true, delivery.NotSent},
		"no draft":          {progress{Path: pathSendMail, DraftWanted: true}, false, delivery.NotSent},
		"late draft":        {progress{Path: pathDraft, LateDraft: true}, true, delivery.NotSent},
		"requested":         {progress{DraftID: "AAk=", Send: sendRequested, SendWanted: sentAt, Settle: later}, true, delivery.Watched},
		"settled":           {progress{DraftID: "AAk=", Send: sendRequested, SendWanted: sentAt, Settle: sentAt}, true, delivery.InDoubt},
		"refused":           {progress{DraftID: "AAk=", Send: sendRefused, SendWanted: sentAt, Settle: sentAt}, true, delivery.NotSent},
		"accepted":          {progress{DraftID: "AAk=", Send: sendAccepted, SendWanted: sentAt, Settle: sentAt}, false, delivery.Watched},
		"accepted, another": {progress{DraftID: "AAk=", LateDraft: true, Send: sendAccepted}, true, delivery.Watched},
	} {
		if tt.p.leftover() != tt.leftover || tt.p.doubt() != tt.doubt {
			t.Errorf("%s: leftover %v, doubt %v", name, tt.p.leftover(), tt.p.doubt())
		}
	}
}

// A send whose state was not recorded may have happened.
func TestProgressWithoutSendState(t *testing.T) {
	const document = `{"path":"draft","draft_id":"AAk=","send_wanted":"2026-11-05T09:30:00Z"}`
	if p, err := readProgress(queue.Progress{Document: json.RawMessage(document)}); err != nil || p.doubt() == delivery.NotSent {
		t.Errorf("%s: %+v, %v", document, p, err)
	}
}

// A claim that ended without a record may have requested a draft. Where a late draft was
// recorded before, the claim's record does not show, and so is not relied on.
func TestProgressAfterALostClaim(t *testing.T) {
	for name, tt := range map[string]struct {
		before           progress
		wanted, recorded bool
	}{
		"first attempt": {progress{}, true, true},
		"by sendMail":   {progress{Path: pathSendMail}, true, true},
		"late draft":    {progress{Path: pathDraft, LateDraft: true}, false, false},
		"both":          {progress{Path: pathDraft, LateDraft: true, DraftWanted: true}, true, true},
	} {
		q := tt.before.record()
		q.Leftover = true // by the claim
		r, err := newRecorder(&delivery.Attempt{Progress: q}, nil)
		if err != nil || r.p.DraftWanted != tt.wanted || r.draftRecorded != tt.recorded {
			t.Errorf("%s: draft wanted %v, recorded %v, %v", name, r.p.DraftWanted, r.draftRecorded, err)
		}
	}
}

// A send that was never requested is neither in doubt nor refused, whatever failed.
func TestSendIsRequestedFirst(t *testing.T) {
	var p progress
	p.doubtSend(time.Now().Add(time.Hour))
	p.refuseSend()
	if !reflect.DeepEqual(p, progress{}) {
		t.Errorf("%+v", p)
	}
	p.requestSend(sentAt, sentAt.Add(time.Minute))
	p.refuseSend()
	if p.Send != sendRefused || p.doubt() != delivery.NotSent {
		t.Errorf("refused: %+v", p)
	}
	p.doubtSend(time.Now().Add(time.Hour))
	if p.Send != sendRequested || p.doubt() != delivery.Watched {
		t.Errorf("in doubt: %+v", p)
	}
	p.forgetSend()
	if !reflect.DeepEqual(p, progress{}) {
		t.Errorf("forgotten: %+v", p)
	}
}
