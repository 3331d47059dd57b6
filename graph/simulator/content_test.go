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
