package credential

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

// beside returns a second relay that signs in to the same application, with a copy of the
// folder.
func (v *world) beside() *world {
	v.t.Helper()
	w := &world{t: v.t, sim: v.sim, dir: filepath.Join(v.t.TempDir(), "certificates"), app: v.app, objectID: v.objectID}
	if err := os.CopyFS(w.dir, os.DirFS(v.dir)); err != nil {
		v.t.Fatal(err)
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Chmod(filepath.Join(w.dir, e.Name()), 0o600); err != nil {
			v.t.Fatal(err)
		}
	}
	return w
}

// Relays that began with the same certificates each renew their own, and remove none that
// another one still needs, also if one of them is off for months.
func TestSeveralNodes(t *testing.T) {
	for _, off := range []time.Duration{0, 300 * day} {
		synctest.Test(t, func(t *testing.T) {
			v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
			v.readable = true
			w := v.beside()
			w.readable = true
			v.start()
			if off > 0 {
				v.run(off, 7*day)
				w.token("after it was off")
			}
			w.start()
			for range 84 {
				v.run(5*day, 5*day)
				w.run(5*day, 5*day)
			}
			for _, x := range []*world{v, w} {
				x.stop()
				for range x.died {
				}
				if status := x.store.Status(); len(status) != 2 {
					t.Errorf("off for %v: a node has the certificates %+v\n%s", off, status, x.log.String())
				}
			}
			known := map[string]bool{}
			for _, s := range append(v.store.Status(), w.store.Status()...) {
				known[s.Thumbprint] = true
			}
			keys := v.sim.RegisteredApps()[0].Keys
			if len(keys) != 4 || len(known) != 4 {
				t.Errorf("off for %v: %d certificates are registered, and %d on the disks; want 4\n%s%s", off, len(keys), len(known), v.log.String(), w.log.String())
			}
		})
	}
}
