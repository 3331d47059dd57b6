package credential

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

// process is a process of a world.
type process struct {
	store *Store
	stop  context.CancelFunc
	died  chan string
}

// end stops the process.
func (p process) end() {
	p.stop()
	for range p.died {
	}
}

// another starts one more process on the folder.
func (v *world) another() process {
	v.t.Helper()
	first := process{v.store, v.stop, v.died}
	v.start()
	p := process{v.store, v.stop, v.died}
	v.store, v.stop, v.died = first.store, first.stop, first.died
	return p
}

// Two processes on one folder renew each certificate once, and go on with what the other has
// done. Never does one of them lack a token.
func TestTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
		v.start()
		other := v.another()
		for range 24 {
			v.run(30*day, 3*day)
			for name, s := range map[string]*Store{"first": v.store, "other": other.store} {
				if _, err := (SignIn{App: v.app, Store: s}).Source(v.client(t.Context()), "").Token(); err != nil {
					t.Fatalf("the %s process has no token: %v\n%s", name, err, v.log.String())
				}
			}
		}
		other.end()
		v.end()
		// Within two years, the current one is due four times, the standby twice at most.
		if n := v.sim.Stats().Calls[simulator.OpAddKey]; n > 6 {
			t.Errorf("%d registrations\n%s", n, v.log.String())
		}
	})
}

// A process that is killed in the middle of a renewal leaves it to the other one.
func TestOtherProcessGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
		time.Sleep(currentLife/2 - 12*time.Hour)
		var killed atomic.Bool
		v.kill = func(at string) bool { return at == "after add_key" && killed.CompareAndSwap(false, true) }
		v.start()
		other := v.another()
		select {
		case <-v.died:
		case <-other.died:
			other.store = v.store
		case <-time.After(2 * day):
			t.Fatal("nothing was renewed")
		}
		old := v.sim.RegisteredApps()[0].Keys[0]
		for range 10 {
			time.Sleep(day)
			v.token("after the kill")
		}
		if got := other.store.Certificates()[0]; time.Until(got.NotAfter) < year*9/10 || len(v.sim.RegisteredApps()[0].Keys) != 2 {
			t.Errorf("%+v of %+v\n%s", got.NotAfter, v.sim.RegisteredApps()[0].Keys, v.log.String())
		}
		if slices.ContainsFunc(v.sim.RegisteredApps()[0].Keys, func(k simulator.RegisteredKey) bool { return k.KeyID == old.KeyID }) {
			t.Error("the old certificate is still registered")
		}
		other.end()
		v.stop()
		for range v.died {
		}
	})
}

// A disk on which a state cannot be written, but a key can, does not fill up with keys.
func TestFullDiskStaysEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{})
		time.Sleep(currentLife/2 - time.Hour)
		v.start()
		v.run(time.Minute, time.Minute)
		if err := os.MkdirAll(filepath.Join(v.dir, stateFile+".new", "full"), 0o700); err != nil { // which not even root can replace
			t.Fatal(err)
		}
		v.run(3*day, time.Hour)
		entries, err := os.ReadDir(v.dir)
		if err != nil || len(entries) > 5 {
			t.Errorf("left %v, %v", entries, err)
		}
		if n := v.sim.Stats().Calls[simulator.OpAddKey]; n != 0 {
			t.Errorf("%d registrations without a record of them", n)
		}
		_ = os.RemoveAll(filepath.Join(v.dir, stateFile+".new"))
		v.run(8*day, time.Hour)
		v.end()
	})
}

// Files that disappear, or are replaced by others, while the relay runs are no loss: it signs in
// with what it has, and makes new ones.
func TestFilesAreLost(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"a folder": func(path string) error {
			_ = os.Remove(path)
			return os.Mkdir(path, 0o700)
		},
		"another's": func(path string) error {
			return os.WriteFile(path, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
			v.start()
			v.run(time.Hour, time.Hour)
			files := []string{v.store.keys[0].File, v.store.keys[1].File}
			if err := spoil(filepath.Join(v.dir, files[0])); err != nil {
				t.Fatal(err)
			}
			v.run(2*day, time.Hour) // token looks at the disk, where the standby is left
			v.stop()
			for range v.died {
			}
			v.start()
			v.run(10*day, 6*time.Hour)
			if got := v.store.Certificates(); len(got) != 2 || v.store.Problem(time.Now()) != "" || len(v.sim.RegisteredApps()[0].Keys) != 2 {
				t.Errorf("%s: %d certificates, %q, registered %+v\n%s", name, len(got), v.store.Problem(time.Now()), v.sim.RegisteredApps()[0].Keys, v.log.String())
			}
			v.stop()
			for range v.died {
			}
		})
	}
}

// Certificates that others have registered, also with the same subject, stay registered, even
// when the key ID of the relay's own is not known and has to be found.
func TestForeignCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{KeyLag: 20 * time.Second, HexKeyIdentifiers: true})
		v.readable = true
		private := testKeys()[0]
		template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "relay.test"}, SignatureAlgorithm: x509.SHA256WithRSA,
			NotBefore: time.Now(), NotAfter: time.Now().Add(10 * year)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
		if err != nil {
			t.Fatal(err)
		}
		v.upload(der)
		for _, k := range v.sim.RegisteredApps()[0].Keys[:2] { // which the state does not know any more
			data, err := os.ReadFile(filepath.Join(v.dir, stateFile))
			if err == nil {
				err = os.WriteFile(filepath.Join(v.dir, stateFile), bytes.ReplaceAll(data, []byte(k.KeyID), nil), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		v.start()
		v.run(2*year, 5*day)
		v.stop()
		for range v.died {
		}
		keys := v.sim.RegisteredApps()[0].Keys
		foreign := slices.ContainsFunc(keys, func(k simulator.RegisteredKey) bool { return k.End.After(time.Now().Add(3 * year)) })
		if !foreign || len(keys) != 3 {
			t.Errorf("registered %+v\n%s", keys, v.log.String())
		}
	})
}

// When no certificate is left that is valid, an administrator uploads the one that the relay has
// made, and the relay goes on by itself.
func TestUploadedByAdministrator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
		time.Sleep(standbyLife + day)
		v.start()
		time.Sleep(3 * day)
		n := slices.IndexFunc(v.store.keys, func(k *key) bool { return k.Stage == candidate && k.Role == current })
		if n < 0 {
			t.Fatalf("made nothing: %+v", v.store.Status())
		}
		v.upload(v.store.keys[n].pair.Certificate[0])
		time.Sleep(2 * time.Hour)
		v.run(8*day, time.Hour)
		if got := v.store.Problem(time.Now()); got != "" || len(v.store.Certificates()) != 2 {
			t.Errorf("problem %q, %+v\n%s", got, v.store.Status(), v.log.String())
		}
		v.stop()
		for range v.died {
		}
	})
}

// A clock that jumps while certificates are renewed costs no credential.
func TestClockJumps(t *testing.T) {
	jumps := []time.Duration{-40 * year, 3 * year, -2 * year, -day, 9 * day, 30 * year}
	if testing.Short() {
		jumps = jumps[:2]
	}
	for _, jump := range jumps {
		synctest.Test(t, func(t *testing.T) {
			v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
			time.Sleep(currentLife/2 + time.Minute)
			s, err := Open(v.dir)
			if err != nil {
				t.Fatal(err)
			}
			s.newKey = v.newKey
			r := &Renewal{Store: s, Entra: &calls{v, s}, Log: slog.New(slog.NewTextHandler(&v.log, nil))}
			r.step(t.Context()) // has asked for a registration
			// The clock was wrong when the state was written, which is the same as a jump back.
			if err := s.update(func() {
				for _, k := range s.keys {
					k.Since = k.Since.Add(jump)
					if !k.Asked.IsZero() {
						k.Asked = k.Asked.Add(jump)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
			v.start()
			v.run(10*day, time.Hour)
			v.end()
		})
	}
}

// upload registers a certificate as an administrator does.
func (v *world) upload(der []byte) {
	v.t.Helper()
	client := &http.Client{Transport: direct{v.sim}}
	reply, err := client.PostForm(v.app.LoginURL+"/contoso.test/oauth2/v2.0/token", url.Values{"grant_type": {"client_credentials"},
		"client_id": {adminID}, "client_secret": {"secret"}, "scope": {v.app.GraphURL + "/.default"}})
	if err != nil {
		v.t.Fatal(err)
	}
	var token struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&token); err != nil || token.Token == "" {
		v.t.Fatalf("no token: %s, %v", reply.Status, err)
	}
	type entry map[string]any
	list := []entry{{"type": "AsymmetricX509Cert", "usage": "Verify", "key": der}}
	for _, k := range v.sim.RegisteredApps()[0].Keys {
		list = append(list, entry{"type": "AsymmetricX509Cert", "usage": "Verify", "keyId": k.KeyID})
	}
	body, err := json.Marshal(map[string]any{"keyCredentials": list})
	if err != nil {
		v.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodPatch, v.app.GraphURL+"/v1.0/applications/"+v.objectID, bytes.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token.Token)
	if reply, err = client.Do(request); err != nil || reply.StatusCode >= 300 {
		var said strings.Builder
		_ = reply.Write(&said)
		v.t.Fatalf("upload: %v, %s", err, said.String())
	}
}
