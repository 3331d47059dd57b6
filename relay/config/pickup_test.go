package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Whoever may write to the folder may send mail.
func TestPickupFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no such modes")
	}
	base, err := os.ReadFile("testdata/bad/pickup_file.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o770: true, os.ModeSticky | os.ModeSetgid | 0o770: true, 0o775: true, 0o777: false, os.ModeSticky | 0o777: false, 0o702: false} {
		folder := t.TempDir()
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "relay.yaml")
		if err := os.WriteFile(path, []byte(strings.Replace(string(base), "folder: contoso.secret", fmt.Sprintf("folder: %q", folder), 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "pickup.folder") {
			t.Errorf("%v: %v", mode, err)
		}
		if ok && (cfg.Pickup.Folder != folder || cfg.PickupListener().Name != PickupName) {
			t.Errorf("%+v", cfg.Pickup)
		}
	}
	if (&Config{}).PickupListener() != nil {
		t.Error("there is a listener without a folder")
	}
}
