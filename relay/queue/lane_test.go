package queue

import "testing"

func TestLane(t *testing.T) {
	for text, lane := range map[string]Lane{
		"contoso":                        {Connection: "contoso"},
		"contoso/a@x.test":               {Connection: "contoso", Mailbox: "a@x.test"},
		"contoso+anna@x.test":            {Connection: "contoso", Principal: "anna@x.test"},
		"contoso+id@x.test/a+b@x.test":   {Connection: "contoso", Principal: "id@x.test", Mailbox: "a+b@x.test"},
		"contoso/a+b@x.test":             {Connection: "contoso", Mailbox: "a+b@x.test"},
		"contoso+anna@x.test/a/b@x.test": {Connection: "contoso", Principal: "anna@x.test", Mailbox: "a/b@x.test"},
	} {
		if got := lane.String(); got != text {
			t.Errorf("%+v is %q, want %q", lane, got, text)
		}
		if got := ParseLane(text); got != lane {
			t.Errorf("%q is %+v, want %+v", text, got, lane)
		}
	}
}

func TestLaneCovers(t *testing.T) {
	for of, covered := range map[string][4]bool{
		"contoso":               {true, true, true, false},
		"contoso+anna@x.test":   {false, true, false, false},
		"contoso/m@x.test":      {true, false, false, false},
		"contoso+bert@x.test/m": {false, false, true, false},
	} {
		for i, l := range []string{"contoso/m@x.test", "contoso+anna@x.test/m", "contoso+bert@x.test/m", "other/m@x.test"} {
			if got := ParseLane(of).Covers(ParseLane(l)); got != covered[i] {
				t.Errorf("%s covers %s: %v", of, l, got)
			}
		}
	}
}
