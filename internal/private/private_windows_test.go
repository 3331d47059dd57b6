package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"
)

// tempDir is t.TempDir for Wine, in which os.RemoveAll fails.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "private-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// openUp lets everybody use a file or a folder.
func openUp(t *testing.T, path string) {
	t.Helper()
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;WD)")
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := sd.DACL()
	if err != nil {
		t.Fatal(err)
	}
	if err := windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil); err != nil {
		t.Fatal(err)
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(tempDir(t), "key")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("secret"); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "secret" {
		t.Errorf("%q, %v", data, err)
	}
	if OthersMayRead(path) {
		t.Error("others may read a new file")
	}
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that exists: %v", err)
	}
	openUp(t, path)
	if !OthersMayRead(path) {
		t.Error("a file for everybody is taken for private")
	}
}

func TestClaim(t *testing.T) {
	path := filepath.Join(tempDir(t), "a", "b")
	if err := MkdirAll(path); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		if OthersMayEnter(p) {
			t.Errorf("others may look into %s", p)
		}
	}
	openUp(t, path)
	if !OthersMayEnter(path) {
		t.Error("a folder for everybody is taken for private")
	}
	if err := Claim(path); err != nil || OthersMayEnter(path) {
		t.Errorf("claimed: %v, open to others: %t", err, OthersMayEnter(path))
	}
}
