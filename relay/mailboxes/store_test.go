package mailboxes

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/graph"
)

func newKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}

func open(t *testing.T, dir string, keys ...[]byte) (*Store, *bytes.Buffer) {
	t.Helper()
	k, err := NewKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := Open(t.Context(), dir, k, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, &log
}

func tokenOf(t *testing.T, s *Store, mailbox string) string {
	t.Helper()
	token, _, err := s.Of("crm").RefreshToken(t.Context(), mailbox)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A token is renewed by whoever holds the newest one alone, and is refused until the
// mailbox is connected again.
func TestTokens(t *testing.T) {
	ctx := t.Context()
	s, log := open(t, t.TempDir(), newKey())
	tokens := s.Of("crm")
	if _, _, err := tokens.RefreshToken(ctx, "a@contoso.test"); !errors.Is(err, graph.ErrNotConnected) {
		t.Errorf("not connected: %v", err)
	}
	if err := s.Connect(ctx, "crm", "A@contoso.test", "", "first"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Of("other").RefreshToken(ctx, "a@contoso.test"); !errors.Is(err, graph.ErrNotConnected) {
		t.Errorf("of another connection: %v", err)
	}
	_, version, err := tokens.RefreshToken(ctx, "a@contoso.test")
	if err != nil {
		t.Fatal(err)
	}
	tokens.Renew(ctx, "a@contoso.test", version, "second")
	tokens.Renew(ctx, "a@contoso.test", version, "older")
	tokens.Refuse(ctx, "a@contoso.test", version, "older")
	if got := tokenOf(t, s, "a@contoso.test"); got != "second" {
		t.Errorf("got %q", got)
	}
	_, version, _ = tokens.RefreshToken(ctx, "a@contoso.test")
	tokens.Refuse(ctx, "a@contoso.test", version, "AADSTS50173: revoked\r\n\x1b[31m")
	if _, _, err := tokens.RefreshToken(ctx, "a@contoso.test"); !errors.Is(err, graph.ErrNotConnected) || !strings.Contains(err.Error(), "AADSTS50173") {
		t.Errorf("refused: %v", err)
	}
	if !strings.Contains(log.String(), "AADSTS50173") {
		t.Errorf("the operator is not told: %s", log)
	}
	if err := s.SetUser(ctx, "crm", "a@contoso.test", "anna", "hash"); err != nil {
		t.Fatal(err)
	}
	if err := s.Connect(ctx, "crm", "a@contoso.test", "", "third"); err != nil {
		t.Fatal(err)
	}
	if got := tokenOf(t, s, "a@contoso.test"); got != "third" {
		t.Errorf("connected again: %q", got)
	}
	if m, err := s.User(ctx, "anna"); err != nil || m.Address != "a@contoso.test" || m.Connection != "crm" || m.Refused != "" || m.Hash != "hash" {
		t.Errorf("its user: %+v, %v", m, err)
	}
}

func TestUsers(t *testing.T) {
	ctx := t.Context()
	s, _ := open(t, t.TempDir(), newKey())
	for _, address := range []string{"a@contoso.test", "b@contoso.test"} {
		if err := s.Connect(ctx, "crm", address, "", "token"); err != nil {
			t.Fatal(err)
		}
	}
	for name, err := range map[string]error{"": nil, "nobody": nil} {
		if _, err = s.User(ctx, name); !errors.Is(err, ErrNoSuchMailbox) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := s.SetUser(ctx, "crm", "a@contoso.test", "one", "h"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetUser(ctx, "crm", "b@contoso.test", "one", "h"); err == nil {
		t.Error("two mailboxes have one user")
	}
	if err := s.SetUser(ctx, "crm", "c@contoso.test", "two", "h"); !errors.Is(err, ErrNoSuchMailbox) {
		t.Error(err)
	}
	if err := s.Disconnect(ctx, "crm", "A@contoso.test"); err != nil {
		t.Error(err)
	}
	list, err := s.List(ctx)
	if err != nil || len(list) != 1 || list[0].Address != "b@contoso.test" {
		t.Errorf("%+v, %v", list, err)
	}
}

// Keys are changed by writing a new one before the old one; once opened, the old one is
// needed no more.
func TestKeyRotation(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	first, second := newKey(), newKey()
	s, _ := open(t, dir, first)
	if err := s.Connect(ctx, "crm", "a@contoso.test", "", "the-token"); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	lost, log := open(t, dir, second)
	if _, _, err := lost.Of("crm").RefreshToken(ctx, "a@contoso.test"); !errors.Is(err, graph.ErrNotConnected) || log.Len() == 0 {
		t.Errorf("without its key: %v, %s", err, log)
	}
	_ = lost.Close()
	both, _ := open(t, dir, second, first)
	if got := tokenOf(t, both, "a@contoso.test"); got != "the-token" {
		t.Errorf("got %q", got)
	}
	_ = both.Close()
	last, _ := open(t, dir, second)
	if got := tokenOf(t, last, "a@contoso.test"); got != "the-token" {
		t.Errorf("got %q", got)
	}
}

// No file holds a token in clear, and none can be put in another's place.
func TestTokensAreSealed(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s, _ := open(t, dir, newKey())
	const secret = "0.AXoA-a-very-secret-refresh-token"
	for _, address := range []string{"a@contoso.test", "b@contoso.test"} {
		if err := s.Connect(ctx, "crm", address, "", secret+address); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil || bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := s.db.ExecContext(ctx, `UPDATE mailbox SET token = (SELECT token FROM mailbox WHERE address = 'b@contoso.test') WHERE address = 'a@contoso.test'`); err != nil {
		t.Fatal(err)
	}
	if token, _, err := s.Of("crm").RefreshToken(ctx, "a@contoso.test"); !errors.Is(err, graph.ErrNotConnected) {
		t.Errorf("got %q, %v", token, err)
	}
}

// A database from before accounts and sign-ins were kept is used on.
func TestDatabaseWithoutAccounts(t *testing.T) {
	dir, key := t.TempDir(), newKey()
	s, _ := open(t, dir, key)
	if err := s.Connect(t.Context(), "crm", "a@contoso.test", "", "token"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "ALTER TABLE mailbox DROP COLUMN account; ALTER TABLE mailbox DROP COLUMN signed_in"); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, dir, key)
	if err := s.Connect(t.Context(), "crm", "b@contoso.test", "anna@contoso.test", "token"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Of("crm").Grant(t.Context(), "a@contoso.test"); err != nil {
		t.Error(err)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Account != "" || list[1].Account != "anna@contoso.test" {
		t.Errorf("%v, %v", list, err)
	}
}

// A sign-in is told from every other one of the mailbox, also from one before a disconnect,
// and what belongs to an earlier one neither replaces nor refuses its token.
func TestSignInsAreToldApart(t *testing.T) {
	const address = "a@contoso.test"
	ctx := t.Context()
	s, _ := open(t, t.TempDir(), newKey())
	tokens := s.Of("crm")
	if id, err := tokens.Grant(ctx, address); !errors.Is(err, graph.ErrNotConnected) {
		t.Errorf("not connected: %d, %v", id, err)
	}
	seen := map[int64]bool{}
	for i, disconnect := range []bool{false, false, true} {
		_, earlier, _ := tokens.RefreshToken(ctx, address)
		if disconnect {
			if err := s.Disconnect(ctx, "crm", address); err != nil {
				t.Fatal(err)
			}
		}
		newest := fmt.Sprint("token ", i)
		if err := s.Connect(ctx, "crm", address, "", newest); err != nil {
			t.Fatal(err)
		}
		id, err := tokens.Grant(ctx, address)
		if err != nil || seen[id] {
			t.Errorf("sign-in %d is %d, %v", i, id, err)
		}
		seen[id] = true
		tokens.Renew(ctx, address, earlier, "of the sign-in before")
		tokens.Refuse(ctx, address, earlier, "of the sign-in before")
		if got := tokenOf(t, s, address); got != newest {
			t.Errorf("got %q, want %q", got, newest)
		}
		_, version, _ := tokens.RefreshToken(ctx, address)
		tokens.Renew(ctx, address, version, "renewed")
		if same, err := tokens.Grant(ctx, address); err != nil || same != id {
			t.Errorf("after a renewal the sign-in is %d, %v, before it was %d", same, err, id)
		}
	}
	_, version, _ := tokens.RefreshToken(ctx, address)
	tokens.Refuse(ctx, address, version, "revoked")
	if _, err := tokens.Grant(ctx, address); !errors.Is(err, graph.ErrNotConnected) {
		t.Errorf("refused: %v", err)
	}
}
