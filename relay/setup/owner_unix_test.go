//go:build unix

package setup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graphrelay/graph/simulator"
)

// TestUnit: where a package has installed a unit, that starts the relay.
func TestUnit(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant, DataDir: "data", Mailboxes: []string{"Scanner@Contoso.Test"}})
	o.Unit = true
	w.run(o)
	if screen := w.screen.String(); !strings.Contains(screen, "    systemctl enable --now graphrelay\n") || strings.Contains(screen, "graphrelay serve") {
		t.Errorf("the relay is not started by its unit:\n%s", screen)
	}
}

// TestServiceUser: the relay's user owns what the relay reads and writes, and not the password.
func TestServiceUser(t *testing.T) {
	if os.Geteuid() != 0 {
		skipUnlessCI(t, "needs root")
	}
	const name, uid = "daemon", 1
	if got, _, err := userIDs(name); err != nil || got != uid {
		skipUnlessCI(t, fmt.Sprintf("no user %s: %v", name, err))
	}
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant, DataDir: "data", Mailboxes: []string{"Scanner@Contoso.Test"}})
	o.ServiceUser = name
	w.run(o)
	folder := filepath.Dir(w.file)
	owned := 0
	for _, path := range []string{w.file, filepath.Join(folder, "data")} {
		_ = filepath.WalkDir(path, func(at string, d os.DirEntry, err error) error {
			info, statErr := os.Lstat(at)
			if err != nil || statErr != nil || info.Sys().(*syscall.Stat_t).Uid != uid {
				t.Errorf("%s is not the relay's: %v", at, err)
			}
			owned++
			return nil
		})
	}
	if info, err := os.Stat(filepath.Join(folder, "relay.password")); err != nil || owned < 5 || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("%d files are the relay's; the password: %v", owned, err)
	}
	if cfg := w.config(); cfg.Delivery.Postmaster != scanner {
		t.Errorf("postmaster %s", cfg.Delivery.Postmaster)
	}
	if want := "    runuser -u daemon -- graphrelay serve --config " + w.file; !strings.Contains(w.screen.String(), want) {
		t.Errorf("the relay is not started as its user:\n%s", w.screen.String())
	}
	// Once more, with the address as it was given.
	w.run(o)
	if !strings.Contains(w.screen.String(), "This set-up was completed") {
		t.Error(w.screen.String())
	}
}
