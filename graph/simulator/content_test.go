package simulator

import "testing"

// Attachments that fill the store leave a part of it to bodies.
func TestContentRoom(t *testing.T) {
	c := contentStore{limit: 800, kept: map[string][]byte{}}
	if !c.put("file", make([]byte, 700)) || c.put("another", make([]byte, 1)) || !c.reserve(100) || c.reserve(1) {
		t.Errorf("%d of 800 bytes are used", c.used)
	}
	c.delete("file")
	if !c.put("another", make([]byte, 600)) || c.used != 700 {
		t.Errorf("after a file was dropped, %d of 800 bytes are used", c.used)
	}
}

// What recipients have of deleted items makes room, oldest first.
func TestContentOfDeleted(t *testing.T) {
	c := contentStore{limit: 800, kept: map[string][]byte{}, most: 10}
	item := func(id string) *item {
		i := &item{Message: Message{Body: Body{Content: "text"}, Attachments: []Attachment{{ID: id, Kept: true}}}}
		if !c.reserve(4) || !c.put(id, make([]byte, 296)) {
			t.Fatal("no room")
		}
		return i
	}
	first, second := item("1"), item("2")
	shown := first.Message
	c.keepSpare(first)
	c.keepSpare(second)
	if !c.put("3", make([]byte, 200)) || !first.dropped || !first.BodyDropped || first.Attachments[0].Kept || second.dropped {
		t.Errorf("first %+v, second %+v", first, second)
	}
	if !shown.Attachments[0].Kept || c.used != 500 {
		t.Errorf("shown %+v, %d bytes are used", shown, c.used)
	}
	for range 50 {
		i := item("4")
		c.keepSpare(i)
		c.drop(i)
	}
	if len(c.spare) > 20 || c.used != 200 {
		t.Errorf("%d items are spare, %d bytes are used", len(c.spare), c.used)
	}
}
