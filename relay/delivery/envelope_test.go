package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// Exactly the recipients of the envelope get the mail, whatever the header says.
func TestEnvelopeIsLaw(t *testing.T) {
	const a, b, c = "a@x.org", "b@x.org", "c@x.org"
	r := newRig(t, simulator.Options{})
	defer r.start(nil)()
	for _, tt := range []struct {
		name        string
		header      string
		envelope    []string
		to, cc, bcc []string
		note        string
	}{
		{"as written", "To: a@x.org\nCc: b@x.org", []string{a, b}, []string{a}, []string{b}, nil, ""},
		{"header only", "To: a@x.org, c@x.org\nCc: b@x.org", []string{a}, []string{a}, nil, nil, c},
		{"envelope only", "To: a@x.org", []string{a, b}, []string{a}, nil, []string{b}, ""},
		{"nothing in common", "To: a@x.org\nCc: b@x.org", []string{c}, nil, nil, []string{c}, a},
		{"Bcc in the header and the envelope", "To: a@x.org\nBcc: b@x.org", []string{a, b}, []string{a}, nil, []string{b}, ""},
		{"Bcc in the header alone", "To: a@x.org\nBcc: b@x.org", []string{a}, []string{a}, nil, nil, ""},
		{"another case", "To: A@X.ORG", []string{a}, []string{"A@X.ORG"}, nil, nil, ""},
		{"twice in the envelope", "To: a@x.org", []string{a, "A@x.org", b, "B@x.org"}, []string{a}, nil, []string{b}, ""},
		{"twice in To", "To: a@x.org, A@x.org", []string{a}, []string{a}, nil, nil, ""},
		{"To and Cc overlap", "To: a@x.org\nCc: a@x.org, b@x.org", []string{a, b}, []string{a}, []string{b}, nil, ""},
		{"no To", "X-A: 1", []string{a, b}, nil, nil, []string{a, b}, ""},
		{"undisclosed", "To: undisclosed-recipients:;", []string{a}, nil, nil, []string{a}, ""},
		{"a group", "To: Team: a@x.org, b@x.org;", []string{a, b}, []string{a, b}, nil, nil, ""},
		{"unreadable To", "To: <<>>", []string{a}, nil, nil, []string{a}, ""},
		{"Resent-To does not count", "To: a@x.org\nResent-To: b@x.org", []string{a}, []string{a}, nil, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.t = t
			id := r.submit(compose("From: "+anna+"\nSubject: s\n"+tt.header, "text"), r.to(anna, tt.envelope...))
			d := r.sentOnce(id)
			if !slices.Equal(d.To, tt.to) || !slices.Equal(d.Cc, tt.cc) || !slices.Equal(d.Bcc, tt.bcc) {
				t.Errorf("got to %v cc %v bcc %v, want %v %v %v", d.To, d.Cc, d.Bcc, tt.to, tt.cc, tt.bcc)
			}
			if h := r.history(id); tt.note != "" && !strings.Contains(h, "dropped the header recipient "+tt.note) {
				t.Errorf("the history does not show that %s was dropped:\n%s", tt.note, h)
			}
			for _, h := range r.message(d).Headers {
				if strings.EqualFold(h.Name, "bcc") {
					t.Error("the Bcc header is exposed")
				}
			}
		})
	}
	r.t = t
}

func TestManyRecipients(t *testing.T) {
	r := newRig(t, simulator.Options{})
	defer r.start(nil)()
	var all []string
	for i := range 500 {
		all = append(all, fmt.Sprintf("user%03d@x.org", i))
	}
	id := r.submit(compose("From: "+anna+"\nSubject: s\nTo: "+strings.Join(all[:200], ",\n ")+"\nCc: "+strings.Join(all[200:300], ",\n "), "text"),
		r.to(anna, all...))
	d := r.sentOnce(id)
	if len(d.To) != 200 || len(d.Cc) != 100 || len(d.Bcc) != 200 || !slices.Equal(d.Recipients(), all) {
		t.Errorf("to %d cc %d bcc %d", len(d.To), len(d.Cc), len(d.Bcc))
	}
}
