package smtpd

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// strictData reads a stream after DATA by the letter of RFC 5321 section 4.5.2; ok is
// false where it does not end.
func strictData(stream string) (text, rest string, ok bool) {
	for {
		line, after, found := strings.Cut(stream, "\r\n")
		if !found {
			return "", "", false
		}
		if stream = after; line == "." {
			return text, stream, true
		}
		text += strings.TrimPrefix(line, ".") + "\r\n"
	}
}

// reference is strictData with the line endings as they are stored.
func reference(stream string) (content, rest string, ok bool) {
	text, rest, ok := strictData(stream)
	return plainLines(text), rest, ok
}

var lineEnd = regexp.MustCompile(`\r*\n|\r+`)

func plainLines(text string) string {
	return lineEnd.ReplaceAllStringFunc(text, func(end string) string {
		if strings.HasSuffix(end, "\n") {
			return "\r\n"
		}
		return " "
	})
}

var endsOfData = []string{
	"\r\n.\r\n", "\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n\x00.\x00\r\n", "\x00\r\n.\r\n", "\r\n.\r\x00\n", "\r\n .\r\n", "\r\n. \r\n",
	"\r\r\n.\r\n", "\r\n.\r\r\n", "\r\n\r.\r\n", "\n\r\n.\r\n", "\r\n..\r\n", "\r\n.\r\r.\r\n", "\n\n.\r\n", "\r\n.\n\r\n",
	"\r\n.\r\n.\r\n", "\u2028.\u2028", "\x0b.\x0b", "\x0c.\x0c", "\u0085.\u0085", "\r\n\t.\r\n", "\r\n.\x1a\r\n",
}

// smuggled is a message within one, if an end of data ends it.
const smuggled = "MAIL FROM:<a@contoso.test>\r\nRCPT TO:<evil@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\n.\r\n"

// A body ends only where RFC 5321 defines it. What other servers have taken for an end does
// not end it, and begins no second message, wherever the packets are cut.
func TestSmugglingData(t *testing.T) {
	for _, end := range endsOfData {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			raw := "Subject: s\r\n\r\nbody" + end + smuggled
			if _, _, ended := reference(raw[:len(raw)-len(smuggled)]); !ended {
				raw += "still the first\r\n.\r\n"
			}
			wantContent, rest, _ := reference(raw)
			want := []string{wantContent}
			if strings.Contains(rest, smuggled) {
				want = append(want, "Subject: smuggled\r\n\r\n") // a second message of an honest client
			}
			for _, kind := range []kind{normalizing, legacy} {
				s := newSmuggling(t, kind)
				for split := 0; split <= len(raw); split++ {
					got, _ := s.dialogue("DATA\r\n", raw[:split], raw[split:])
					if !slices.Equal(got, want) {
						t.Fatalf("%s: split at %d: took %q, want %q", kind, split, got, want)
					}
				}
			}
		})
	}
}

// A chunk ends after its length, whatever it contains.
func TestSmugglingBDAT(t *testing.T) {
	for _, end := range endsOfData {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			raw := "Subject: s\r\n\r\nbody" + end + smuggled
			want := []string{plainLines(raw)}
			whole := fmt.Sprintf("BDAT %d LAST\r\n%s", len(raw), raw)
			for _, kind := range []kind{normalizing, legacy} {
				s := newSmuggling(t, kind)
				for split := range len(whole) {
					if got, _ := s.dialogue(whole[:split], whole[split:]); !slices.Equal(got, want) {
						t.Fatalf("%s: split at %d: took %q, want %q", kind, split, got, want)
					}
				}
				for split := range len(raw) {
					got, _ := s.dialogue(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", split, raw[:split], len(raw)-split, raw[split:]))
					if !slices.Equal(got, want) {
						t.Fatalf("%s: chunks of %d and the rest: took %q, want %q", kind, split, got, want)
					}
				}
			}
		})
	}
}

// A client need not wait for the reply to DATA.
func TestBodyBeforeAnswer(t *testing.T) {
	got, _ := dialogue(t, normalizing, "DATA\r\nSubject: s\r\n\r\n..a\r\r\n.\r\nNOOP\r\n")
	if want := []string{"Subject: s\r\n\r\n.a\r\n"}; !slices.Equal(got, want) {
		t.Errorf("took %q, want %q", got, want)
	}
}

// A command that only one of smtpConn and go-smtp takes for BDAT does not make go-smtp read
// a body.
func TestChunkThatIsNone(t *testing.T) {
	for _, command := range []string{"BDAT 6 FIRST", "BDAT 6 LAST x", "BDAT -6", "BDAT 6.0 LAST", "BDAT", "BDAT\t6 LAST", " BDAT 6 LAST", "BDAT 4294967296 LAST", "XBDAT 6"} {
		t.Run(command, func(t *testing.T) {
			for _, kind := range []kind{normalizing, legacy} {
				got, _ := dialogue(t, kind, command+"\r\nDATA\r\nSubject: s\r\n\r\nx\n.\n"+smuggled+".\r\n")
				for _, m := range got {
					if strings.HasPrefix(m, "Subject: smuggled") {
						t.Errorf("%s: took %q", kind, got)
					}
				}
			}
		})
	}
}

func TestLineEndingsRejected(t *testing.T) {
	for body, found := range map[string]string{"a\nb": "LF", "a\rb": "CR", "a\r\r\nb": "CR", ".\rb": "CR"} {
		raw := "Subject: s\r\n\r\n" + body + "\r\n"
		for verb, sent := range map[string]string{"DATA": "DATA\r\n" + raw + ".\r\n", "BDAT": fmt.Sprintf("BDAT %d LAST\r\n%s", len(raw), raw)} {
			got, replies := dialogue(t, rejecting, sent)
			if len(got) != 0 {
				t.Errorf("%s %q: took %q", verb, body, got)
			}
			if !strings.Contains(replies, "554 5.6.0 The message has a bare "+found) {
				t.Errorf("%s %q: answered %q", verb, body, replies)
			}
		}
	}
	if got, _ := dialogue(t, rejecting, "DATA\r\nSubject: s\r\n\r\na\r\n..b\r\n.\r\n"); len(got) != 1 {
		t.Errorf("took %q", got)
	}
}

func TestLineEndingsCounted(t *testing.T) {
	b := start(t, func(*Config) {})
	c := b.ready()
	for _, body := range []string{"a\nb", "a\rb", "a\r\nb", "a\nb\rc"} {
		c.envelope()
		c.cmd("354", "DATA")
		c.send("Subject: s\r\n\r\n" + body + "\r\n.\r\n")
		c.expect("250")
	}
	for _, kind := range []string{"lf", "cr"} {
		if n := b.counted("graphrelay_smtp_bare_line_endings_total", "normalized", kind, "test"); n != 2 {
			t.Errorf("%s: counted %v messages, want 2", kind, n)
		}
	}
}

// dialogue sends the pieces behind an envelope, each as one packet, then QUIT, and
// returns the messages that were taken, without the Received field, and all replies.
func dialogue(t *testing.T, k kind, pieces ...string) (taken []string, replies string) {
	t.Helper()
	return newSmuggling(t, k).dialogue(pieces...)
}

func (s *smuggling) dialogue(pieces ...string) (taken []string, replies string) {
	s.Helper()
	all := slices.Concat([]string{s.kind.toData()}, pieces, []string{"QUIT\r\n"})
	all = slices.DeleteFunc(all, func(piece string) bool { return piece == "" })
	replies = s.pipes.talk(s, all...)
	return s.queue.takeTexts(), replies
}

// FuzzLines compares what is read of a body with the reference, and what a legacy
// listener reads with what was sent: only command lines are corrected.
func FuzzLines(f *testing.F) {
	old := legacyServer(f)
	for _, end := range endsOfData {
		f.Add([]byte("a" + end + "b\r\n.\r\nQUIT\r\n"))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, bytewise := range []bool{false, true} {
			if got := afterData(t, old, raw, bytewise); !bytes.Equal(got, raw) {
				t.Fatalf("a legacy listener read %q, want %q", got, raw)
			}
		}
		want, rest, ended := reference(string(raw))
		l := lines{dots: true}
		var out []byte
		used := 0
		for _, c := range raw { // one at a time, as the worst network brings them
			var n int
			if out, n = l.next(out, []byte{c}); n == 1 {
				used++
			}
			if l.done {
				break
			}
		}
		if l.done != ended || ended && string(raw[used:]) != rest {
			t.Fatalf("ended %v after %d of %d bytes; the reference %v, with %q behind", l.done, used, len(raw), ended, rest)
		}
		whole := lines{dots: true}
		at := len(raw)
		again, n := whole.next(nil, raw)
		if ended {
			at = used
		}
		if !bytes.Equal(again, out) || n != at {
			t.Fatalf("read at once %q (%d), in bytes %q (%d)", again, n, out, at)
		}
		if !ended {
			return
		}
		if string(out) != want {
			t.Fatalf("read %q, want %q", out, want)
		}
		if bare := strings.ReplaceAll(string(raw[:used]), "\r\n", ""); l.bare.cr != strings.Contains(bare, "\r") || l.bare.lf != strings.Contains(bare, "\n") {
			t.Fatalf("found %+v in %q", l.bare, raw[:used])
		}
		c := body{from: iotest.OneByteReader(bytes.NewReader(raw)).Read, lines: lines{max: 1 << 20}, raw: make([]byte, 1)}
		var chunk bytes.Buffer
		if _, err := c.copyTo(&chunk, 1<<30); err != nil || chunk.String() != plainLines(string(raw)) {
			t.Fatalf("chunk %q, want %q (%v)", chunk.String(), plainLines(string(raw)), err)
		}
	})
}
