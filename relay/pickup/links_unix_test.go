//go:build unix

package pickup

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLinks drops what would have the relay send, or wait for, what is not in the folder.
func TestLinks(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, drop := range map[string]func(path string) error{
		"a symbolic link": func(path string) error { return os.Symlink(secret, path) },
		"a hard link":     func(path string) error { return os.Link(secret, path) },
		"a FIFO":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		w := newWorld(t)
		if err := drop(filepath.Join(w.dir, "m.eml")); err != nil {
			t.Fatal(err)
		}
		w.mustLook()
		w.want("", "", "m.eml m.eml.txt")
		if w.queue.calls > 0 {
			t.Errorf("%s was submitted", what)
		}
	}
}

// TestForeignFolder has somebody else make the folders of the relay.
func TestForeignFolder(t *testing.T) {
	for _, name := range []string{workName, badName} {
		w := newWorld(t)
		if err := os.Symlink(t.TempDir(), filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
		w.drop("m.eml", plain)
		if _, err := w.look(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is a link: %v", name, err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	w := newWorld(t)
	if err := os.Mkdir(filepath.Join(w.dir, workName), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(w.dir, workName), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := w.look(t.Context()); err == nil || !strings.Contains(err.Error(), workName) {
		t.Errorf("work is another's: %v", err)
	}
}
