package pickup

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOpenElsewhere has a program keep its file open: it is not complete, however long it has not
// changed.
func TestOpenElsewhere(t *testing.T) {
	w := newWorld(t)
	f, err := os.Create(filepath.Join(w.dir, "m.eml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(plain); err != nil {
		t.Fatal(err)
	}
	w.mustLook()
	w.want("m.eml", "", "")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w.mustLook()
	w.want("", "", "")
}

// TestHardLink drops another name of a file.
func TestHardLink(t *testing.T) {
	w := newWorld(t)
	w.drop("m.txt", plain)
	if err := os.Link(filepath.Join(w.dir, "m.txt"), filepath.Join(w.dir, "m.eml")); err != nil {
		t.Fatal(err)
	}
	w.mustLook()
	w.want("m.txt", "", "m.eml m.eml.txt")
}
