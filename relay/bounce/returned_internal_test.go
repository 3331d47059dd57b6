package bounce

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"graphrelay/mime"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Who is told of a message that came back: its sender, unless the report of Microsoft 365 is
// in the sender's own mailbox; the postmaster, where no one else would look; and never anyone
// about a bounce.
func TestWhoIsToldOfAReturn(t *testing.T) {
	lane := queue.Lane{Connection: "contoso", Mailbox: "scanner@contoso.test"}
	postmaster := queue.Lane{Connection: "contoso", Mailbox: "postmaster@contoso.test"}
	never := map[string]queue.RecipientDSN{"x@example.test": {Notify: []string{"NEVER"}}}
	var impossible ImpossibleError
	for name, tt := range map[string]struct {
		from, code string
		postmaster queue.Lane
		dsn        map[string]queue.RecipientDSN
		header     string
		to         string // empty: nobody
		recipients int
		err        any
	}{
		"another sender":                {from: "anna@contoso.test", to: "anna@contoso.test", recipients: 2},
		"another sender, by postmaster": {from: "anna@contoso.test", postmaster: postmaster, to: "anna@contoso.test", recipients: 2},
		"the mailbox itself":            {from: "Scanner@contoso.test", err: ErrTold},
		"itself, with a postmaster":     {from: "Scanner@contoso.test", postmaster: postmaster, to: "postmaster@contoso.test", recipients: 2},
		"its alias":                     {from: "alias@contoso.test", err: ErrTold},
		"a device":                      {from: "hp@printers.local", err: ErrTold},
		"a device, with a postmaster":   {from: "hp@printers.local", postmaster: postmaster, to: "postmaster@contoso.test", recipients: 2},
		"the postmaster's own mailbox":  {from: "hp@printers.local", postmaster: lane, err: ErrTold},
		"not wanted for one":            {from: "anna@contoso.test", dsn: never, to: "anna@contoso.test", recipients: 1},
		"not wanted":                    {from: "anna@contoso.test", dsn: both(never), err: ErrNotWanted},
		"not wanted, with a postmaster": {from: "anna@contoso.test", postmaster: postmaster, dsn: both(never), to: "postmaster@contoso.test", recipients: 2},
		"a bounce":                      {from: "", postmaster: postmaster, err: &impossible},
		"a bounce with a sender":        {from: "anna@contoso.test", postmaster: postmaster, header: "Content-Type: multipart/report; report-type=delivery-status\r\n\r\n", err: &impossible},
		"the mailbox is blocked":        {from: "anna@contoso.test", code: "5.1.8", err: &impossible},
		"blocked, with a postmaster":    {from: "anna@contoso.test", code: "5.1.90", postmaster: postmaster, to: "anna@contoso.test", recipients: 2},
	} {
		t.Run(name, func(t *testing.T) {
			n := Notifier{Host: "relay.test", Postmaster: tt.postmaster,
				To: func(sender string) string {
					if strings.HasSuffix(sender, "@printers.local") {
						return lane.Mailbox
					}
					return sender
				},
				Receives: func(l queue.Lane, address string) bool { return l == lane && address == "alias@contoso.test" }}
			m := queue.Record{ID: "06h0000000000000", Entry: queue.Entry{Lane: lane, Subject: "s", Envelope: queue.Envelope{
				From: tt.from, To: []string{"x@example.test", "y@example.test"}, DSN: queue.DSN{Recipients: tt.dsn}}}}
			returns := []queue.Return{{Recipient: "x@example.test", Code: tt.code}, {Recipient: "y@example.test", Code: tt.code}}
			s, err := n.NotifyReturned(m, returns, ReturnedOriginal(m, mime.ReadHeader([]byte(tt.header), mime.DefaultLimits())))
			switch want := tt.err.(type) {
			case nil:
				if err != nil || !slices.Equal(s.Envelope.To, []string{tt.to}) || s.Envelope.From != "" || strings.Count(string(s.Body), "Final-Recipient") != tt.recipients {
					t.Errorf("got %+v, %v", s, err)
				}
				if want := (queue.Lane{}); tt.postmaster != want && s.Lane != tt.postmaster {
					t.Errorf("it goes by %s", s.Lane)
				}
			case *ImpossibleError:
				if !errors.As(err, want) || s != nil {
					t.Errorf("got %+v, %v", s, err)
				}
			case error:
				if !errors.Is(err, want) || s != nil {
					t.Errorf("got %+v, %v; want %v", s, err, want)
				}
			}
		})
	}
}

func both(dsn map[string]queue.RecipientDSN) map[string]queue.RecipientDSN {
	dsn = maps.Clone(dsn)
	dsn["y@example.test"] = dsn["x@example.test"]
	return dsn
}

// Each code that is known is one, has a reason of the list, and says why and what to do.
func TestReturnCodes(t *testing.T) {
	for code, a := range adviceOfCode {
		if !ValidCode(code) || !slices.Contains(reason.All(), a.Reason) || a.Why == "" || a.Do == "" {
			t.Errorf("%s: %+v", code, a)
		}
	}
	for _, code := range []string{"", "5", "5.1", "5.1.1.1", "2.1.5", "5.01.1", "5.1.1000", "5.-1.1", "5.+1.1", "5.1.x", "5.1.1\n", "55.1.1", "5..1"} {
		if ValidCode(code) {
			t.Errorf("%q is taken for a code", code)
		}
	}
	if a := AdviceForCode("5.9.9"); a.Reason != reason.NotDelivered || a.Why == "" {
		t.Errorf("%+v", a)
	}
}
