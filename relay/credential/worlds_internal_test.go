package credential

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

// due starts a process at a time when the current certificate is due.
func due(t *testing.T, w simulator.World, test func(t *testing.T, v *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, w)
		time.Sleep(currentLife/2 + time.Hour)
		test(t, v)
		v.stop()
		for range v.died {
		}
	})
}

// A new certificate is not used before Entra accepts it, however long that takes.
func TestSlowEntra(t *testing.T) {
	for _, lag := range []time.Duration{0, time.Minute, time.Hour, 30 * time.Hour} {
		due(t, simulator.World{KeyLag: lag}, func(t *testing.T, v *world) {
			v.start()
			old := v.store.Certificates()[0]
			if lag > 0 {
				v.run(lag-lag/10, lag/5)
				if !v.store.Certificates()[0].Equal(old) {
					t.Errorf("%s: used too early", lag)
				}
			}
			v.run(lag+2*time.Hour, time.Hour)
			if v.store.Certificates()[0].Equal(old) || len(v.sim.RegisteredApps()[0].Keys) != 3 {
				t.Errorf("%s: %+v\n%s", lag, v.sim.RegisteredApps()[0].Keys, v.log.String())
			}
		})
	}
}

// A tenant that does not let applications roll their keys is an error that says so, at once in
// the log and later in Problem. Nothing is used that is not registered, and the requests stay
// few. Once the tenant lets them, the renewal succeeds.
func TestRegistrationRefused(t *testing.T) {
	due(t, simulator.World{KeyRollDenied: true}, func(t *testing.T, v *world) {
		v.start()
		v.run(3*day, 6*time.Hour)
		if got := v.store.Problem(time.Now()); got != "" {
			t.Errorf("too early: %q", got)
		}
		v.run(5*day, 6*time.Hour)
		if got := v.store.Problem(time.Now()); !strings.Contains(got, "due since") || !strings.Contains(got, "refused to register") {
			t.Errorf("problem %q", got)
		}
		if n := v.sim.Stats().Calls[simulator.OpToken]; n > 1000 {
			t.Errorf("%d tokens in 8 days", n)
		}
		if len(v.store.Status()) != 3 || v.store.Status()[2].Registered {
			t.Errorf("%+v", v.store.Status())
		}
		if err := v.sim.ChangeWorld(func(w *simulator.World) { w.KeyRollDenied = false }); err != nil {
			t.Fatal(err)
		}
		v.run(3*time.Hour, time.Hour)
		if got := v.store.Problem(time.Now()); got != "" {
			t.Errorf("afterwards: %q", got)
		}
	})
}

// The standby takes over for a current certificate that expired while the relay was off, and
// for one that an administrator removed.
func TestCurrentIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
		time.Sleep(currentLife + 30*day)
		v.token("with an expired current certificate")
		v.start()
		v.run(day, time.Hour)
		if made := v.store.Certificates(); len(made) != 2 || time.Until(made[0].NotAfter) < currentLife/2 {
			t.Errorf("not renewed: %v\n%s", made, v.log.String())
		}
		keys := v.sim.RegisteredApps()[0].Keys
		v.stop()
		for range v.died {
		}
		if len(keys) < 3 {
			t.Errorf("registered %+v", keys)
		}
	})
}

// A standby that an administrator removed in Entra is replaced.
func TestStandbyIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
		v.start()
		v.run(time.Hour, time.Hour)
		old := v.store.Certificates()[1]
		c := &calls{v, v.store}
		if err := (&Renewal{Store: v.store, Entra: c}).prove(v.store.keys[1], func(proof string) error {
			return c.RemoveKey(t.Context(), v.objectID, v.store.keys[1].KeyID, proof)
		}); err != nil {
			t.Fatal(err)
		}
		v.run(3*day, 6*time.Hour)
		if v.store.Certificates()[1].Equal(old) || len(v.sim.RegisteredApps()[0].Keys) != 2 {
			t.Errorf("not replaced: %+v\n%s", v.sim.RegisteredApps()[0].Keys, v.log.String())
		}
		v.stop()
		for range v.died {
		}
	})
}

// When all certificates have expired, the error says what an administrator has to do, and no
// certificate is thrown away.
func TestAllExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{})
		time.Sleep(standbyLife + day)
		v.start()
		for range 20 {
			time.Sleep(day)
		}
		if got := v.store.Problem(time.Now()); !strings.Contains(got, "upload the new one") {
			t.Errorf("problem %q", got)
		}
		if _, err := (SignIn{App: v.app, Store: v.store}).Source(v.client(t.Context()), "").Token(); err == nil || !Refused(err) {
			t.Errorf("a token, or %v", err)
		}
		if n := v.sim.Stats().Calls[simulator.OpAddKey]; n != 0 || len(v.store.Status()) != 4 {
			t.Errorf("%d registrations asked for, %+v", n, v.store.Status())
		}
		v.stop()
		for range v.died {
		}
	})
}

// A disk that cannot be written is reported at once, and nothing is asked of Entra that is not
// on the disk. The folder is moved away, since root may write to any that is there.
func TestFullDisk(t *testing.T) {
	for _, made := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			v := newWorld(t, simulator.World{})
			time.Sleep(currentLife/2 + time.Hour)
			s, err := Open(v.dir)
			if err != nil {
				t.Fatal(err)
			}
			s.newKey = v.newKey
			r := &Renewal{Store: s, Entra: &calls{v, s}, Log: slog.New(slog.DiscardHandler)}
			if made { // the disk fills up when the key is there already
				if _, err := r.successor(current); err != nil {
					t.Fatal(err)
				}
			}
			away := v.dir + "-away"
			if err := os.Rename(v.dir, away); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
			defer cancel()
			r.Run(ctx)
			if got := s.Problem(time.Now()); !strings.Contains(got, "cannot write") {
				t.Errorf("problem %q", got)
			}
			if n := v.sim.Stats().Calls[simulator.OpAddKey]; n != 0 {
				t.Errorf("%d registrations without a record of them", n)
			}
			if _, err := (SignIn{App: v.app, Store: s}).Source(v.client(t.Context()), "").Token(); err != nil {
				t.Errorf("no token: %v", err)
			}
			time.AfterFunc(90*time.Minute, func() {
				if err := os.Rename(away, v.dir); err != nil {
					t.Error(err)
				}
			})
			again, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
			r.Run(again)
			cancel()
			if got := s.Problem(time.Now()); got != "" {
				t.Errorf("without a restart: %q", got)
			}
			v.start()
			v.run(3*time.Hour, time.Hour)
			if got := v.store.Problem(time.Now()); got != "" || len(v.sim.RegisteredApps()[0].Keys) != 3 {
				t.Errorf("afterwards: %q, %+v", got, v.sim.RegisteredApps()[0].Keys)
			}
			v.stop()
			for range v.died {
			}
		})
	}
}

// A clock that is far ahead loses nothing: after it was set right, the renewal goes on.
func TestWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{})
		v.start()
		v.run(time.Hour, time.Hour)
		v.stop()
		for range v.died {
		}
		// A candidate from a time when the clock was a year ahead.
		s, err := Open(v.dir)
		if err != nil {
			t.Fatal(err)
		}
		s.newKey = v.newKey
		k, err := s.makeKey(current, "relay.test", time.Now().Add(year))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.update(func() { k.Asked = time.Now().Add(year); s.keys = append(s.keys, k) }); err != nil {
			t.Fatal(err)
		}
		v.start()
		v.run(10*day, day)
		for _, status := range v.store.Status() {
			if status.Thumbprint == thumbprint(k.pair) {
				t.Errorf("the candidate is still there: %+v\n%s", status, v.log.String())
			}
		}
		if got := v.store.Problem(time.Now()); got != "" {
			t.Error(got)
		}
		v.stop()
		for range v.died {
		}
	})
}

// What a crash has left is removed, and other people's files stay.
func TestStrays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{})
		stray := []string{"certificate-0123456789abcdef.pem", "certificate-0123456789abcdef.pem.new"}
		kept := []string{"certificate-mine.pem", "key.pem", "certificate-0123456789ABCDEF.pem", "state.json.bak"}
		for _, name := range append(stray, kept...) {
			if err := os.WriteFile(filepath.Join(v.dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		v.start()
		v.run(time.Hour, time.Hour)
		v.stop()
		for range v.died {
		}
		entries, err := os.ReadDir(v.dir)
		if err != nil || len(entries) != 4+len(kept) {
			t.Errorf("left %v, %v", entries, err)
		}
		for _, name := range kept {
			if _, err := os.Stat(filepath.Join(v.dir, name)); err != nil {
				t.Error(err)
			}
		}
	})
}
