package graph

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// A text that is encoded piece by piece is what encoding/json makes of it as a whole, with
// characters that need an escape or are no UTF-8 at the ends of pieces too.
func TestLongText(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	characters := []string{"a", "ä", "本", "😀", "\"", "\\", "\n", "\t", "\x00", "<", "\u2028", "\xff", "\xe6\x9c", "\x80", "\"content\":\"\""}
	for range 200 {
		var text strings.Builder
		for n := random.IntN(3*jsonPiece) + longText; text.Len() < n; {
			text.WriteString(strings.Repeat(characters[random.IntN(len(characters))], 1+random.IntN(40)))
		}
		whole := Message{Subject: "\"content\":\"\"", Body: Body{ContentType: "text", Content: text.String()}}
		want, err := encodeJSON(whole)
		if err != nil {
			t.Fatal(err)
		}
		short, inserts := whole.split()
		var r request
		if err := r.jsonWith(short, inserts...); err != nil || len(inserts) != 1 {
			t.Fatal(len(inserts), err)
		}
		for range 2 { // a request may be repeated
			got, err := io.ReadAll(r.body())
			if err != nil || !bytes.Equal(got, want) || r.length != int64(len(want)) || whole.Size() != int64(len(want)) {
				t.Fatalf("%v: %d bytes, announced as %d and %d, want %d (valid UTF-8: %v)", err, len(got), r.length, whole.Size(), len(want), utf8.ValidString(text.String()))
			}
		}
	}
}

// While a long text is sent, only a piece of it is in memory a second time.
func TestLongTextInPieces(t *testing.T) {
	whole := Message{Body: Body{Content: strings.Repeat("\x01", 1<<20)}}
	short, inserts := whole.split()
	if short.Body.Content != "" || len(inserts) != 1 || inserts[0].length != 6<<20 {
		t.Fatalf("%d bytes in the JSON, inserts %+v", len(short.Body.Content), inserts)
	}
	r := inserts[0].open().(*jsonReader)
	for {
		if _, err := r.Read(make([]byte, 1000)); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if cap(r.out) > 16*jsonPiece {
			t.Fatalf("%d bytes are encoded at a time", cap(r.out))
		}
	}
}

// atMost is an upper bound of Size, also of what JSON makes longest.
func TestAtMost(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	text := func() string {
		return strings.Repeat([]string{"", "a", "ä", "\x00", "\xff", "\u2028", "<"}[random.IntN(7)], random.IntN(500))
	}
	for range 500 {
		var list []Recipient
		var headers []Header
		var properties []Property
		for range random.IntN(50) {
			list = append(list, Recipient{EmailAddress{text(), text()}})
			headers = append(headers, Header{text(), text()})
			properties = append(properties, Property{text(), text()})
		}
		m := Message{Subject: text(), Body: Body{text(), text()}, From: &Recipient{EmailAddress{text(), text()}}, Sender: &Recipient{EmailAddress{text(), text()}},
			ToRecipients: list, CcRecipients: list, BccRecipients: list, ReplyTo: list, Importance: text(), InternetMessageID: text(),
			InternetMessageHeaders: headers, IsReadReceiptRequested: true, IsDeliveryReceiptRequested: true, Properties: properties}
		if size, most := m.Size(), m.atMost(); size > most {
			t.Fatalf("%d bytes, at most %d", size, most)
		}
	}
	long := Message{Body: Body{Content: strings.Repeat("a", MaxRequestBytes)}}
	if long.Fits() || !(&Message{Body: Body{Content: long.Body.Content[:MaxRequestBytes-1000]}}).Fits() {
		t.Error("a message is not measured")
	}
}
