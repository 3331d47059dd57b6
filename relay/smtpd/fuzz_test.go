package smtpd

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzData sends any bytes through DATA and BDAT, in packets and chunks cut anywhere,
// to a whole server, and compares what it stores with what strictData and plainLines,
// which are written another way, make of them.
func FuzzData(f *testing.F) {
	for _, s := range append(knownSmuggling, "", ".", "..", ".\rx", "\r\n.\rx\r\n..\r\n.x", "a\nb\rc\r\r\nd\r\r\re", "\r\n.\r\nMAIL", strings.Repeat("x", 98), strings.Repeat("x", 99), strings.Repeat("\n", 300)) {
		f.Add([]byte("A: b\r\n\r\nc"+s+"d"), []byte{3}, false, false)
		f.Add([]byte(s), []byte{0, 2}, true, false)
		f.Add([]byte(s), []byte{}, false, true)
		f.Add([]byte(s+s), []byte{40, 1}, true, true)
	}
	servers := map[kind]*smuggling{}
	for _, kind := range []kind{normalizing, rejecting, legacy} {
		s := &smuggling{kind: kind, pipes: newPipes(), cfg: testConfig()}
		kind.change(&s.cfg)
		s.cfg.Message.Bytes, s.cfg.Message.LineBytes = 500, 100
		s.cfg.Session.Commands, s.cfg.Session.Errors, s.cfg.Session.Delay = 1<<20, 1<<20, 0
		_, s.queue, _ = serve(f, s.pipes, s.cfg)
		servers[kind] = s
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte, bdat, reject bool) {
		kinds := []kind{normalizing, legacy}
		if reject {
			kinds = []kind{rejecting}
		}
		for _, kind := range kinds {
			if bdat {
				servers[kind].fuzzBDAT(t, string(data), cuts)
			} else {
				servers[kind].fuzzData(t, string(data), cuts)
			}
		}
	})
}

func (s *smuggling) fuzzData(t *testing.T, data string, cuts []byte) {
	data += "\r\n.\r\n"
	text, rest, _ := strictData(data)
	stream := s.kind.toData() + "DATA\r\n" + strings.TrimSuffix(data, rest) + "NOOP\r\nQUIT\r\n"
	replies := s.pipes.talk(t, pieces(stream, cuts)...)
	answers := s.answers(text)
	if got, want := codes(replies), "220 250 250 250 354 "; !strings.HasPrefix(got, want) ||
		!strings.HasSuffix(got, " 250 221") || !strings.Contains(answers, got[len(want):len(got)-len(" 250 221")]) {
		t.Errorf("%q was answered %s, want one of %s", stream, got, answers)
	}
	s.compare(t, text, answers)
}

func (s *smuggling) fuzzBDAT(t *testing.T, text string, cuts []byte) {
	chunks := pieces(text, cuts)
	stream := s.kind.toData()
	for n, chunk := range chunks {
		last := map[bool]string{true: " LAST"}[n == len(chunks)-1]
		stream += fmt.Sprintf("BDAT %d%s\r\n%s", len(chunk), last, chunk)
	}
	answers := s.answers(text)
	if len(text) > int(s.cfg.Message.Bytes) { // even if it comes to less in the end
		answers = "552"
	}
	replies := s.pipes.talk(t, pieces(stream+"NOOP\r\nQUIT\r\n", cuts)...)
	// After a chunk that was refused, those that follow are out of order.
	if got := codes(replies); !strings.HasSuffix(got, " 250 221") || strings.Count(got, " ") != 5+len(chunks) ||
		strings.Contains(replies, "queued as") != (answers == "250") {
		t.Errorf("%q was answered %s, want one of %s", stream, got, answers)
	}
	s.compare(t, text, answers)
}

// pieces cuts a text to lengths of one more than each of cuts, in turn.
func pieces(text string, cuts []byte) (list []string) {
	for i := 0; len(cuts) > 0 && len(text) > 0; i++ {
		n := min(len(text), int(cuts[i%len(cuts)])+1)
		list = append(list, text[:n])
		text = text[n:]
	}
	if len(list) == 0 || text != "" {
		list = append(list, text)
	}
	return list
}

// answers returns the replies that a text may have: one for each of its faults.
func (s *smuggling) answers(text string) string {
	var list []string
	for line := range strings.SplitSeq(plainLines(text), "\r\n") {
		if len(line)+2 > s.cfg.Message.LineBytes {
			list = append(list, "554")
		}
	}
	if s.cfg.Leniency.LineEndings == LineEndingsReject && hasBare(text) {
		list = append(list, "554")
	}
	if len(plainLines(text)) > int(s.cfg.Message.Bytes) {
		list = append(list, "552")
	}
	if len(list) == 0 {
		return "250"
	}
	return strings.Join(list, " ")
}

func (s *smuggling) compare(t *testing.T, text, answers string) {
	got := s.queue.takeTexts()
	switch {
	case answers != "250" && len(got) != 0:
		t.Errorf("took %q", got)
	case answers == "250" && (len(got) != 1 || got[0] != plainLines(text)):
		t.Errorf("took %q, want %q", got, plainLines(text))
	}
}
