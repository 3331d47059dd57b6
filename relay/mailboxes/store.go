// Package connected keeps the mailboxes whose owners have signed in: the refresh token of
// each, encrypted, and the SMTP user that was made for it.
//
// It promises that no refresh token is on the disk in clear, that what is encrypted for
// one mailbox cannot be put in another's place, and that an older token never replaces a
// newer one. Several processes may have it open.
package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/internal/private"
	"graphrelay/internal/text"
)

// DatabaseName is the database's file in the data directory.
const DatabaseName = "mailboxes.db"

// Mailbox is one whose owner has signed in.
type Mailbox struct {
	Connection string    `json:"connection"`
	Address    string    `json:"mailbox"`          // in lower case
	Account    string    `json:"account,omitzero"` // that signed in, if it has another name
	Connected  time.Time `json:"connected"`
	Renewed    time.Time `json:"renewed"`          // when the newest refresh token came
	Refused    string    `json:"refused,omitzero"` // why its owner has to connect it again
	User       string    `json:"smtp_user,omitzero"`
	Hash       string    `json:"-"` // bcrypt, of the SMTP user's password
}

// Store is the database. Times are Unix seconds.
type Store struct {
	db   *sql.DB
	keys *Keys
	log  *slog.Logger
}

// schema: token is encrypted, see Keys.seal. version is another for each token that a
// mailbox had, and signed_in for each sign-in; neither repeats after a Disconnect.
const schema = `
CREATE TABLE IF NOT EXISTS mailbox (
	connection TEXT NOT NULL,
	address    TEXT NOT NULL, -- lower case
	token      BLOB NOT NULL,
	version    INTEGER NOT NULL,
	connected  INTEGER NOT NULL,
	renewed    INTEGER NOT NULL,
	refused    TEXT NOT NULL DEFAULT '',
	user       TEXT NOT NULL DEFAULT '',
	hash       TEXT NOT NULL DEFAULT '',
	account    TEXT NOT NULL DEFAULT '',
	signed_in  INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (connection, address)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS mailbox_user ON mailbox(user) WHERE user <> '';`

// Open opens or creates the store in dir, and encrypts anew what an older key protects.
func Open(ctx context.Context, dir string, keys *Keys, log *slog.Logger) (*Store, error) {
	if err := private.MkdirAll(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, DatabaseName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // SQLite would let others read it
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	uri := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(),
		RawQuery: "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(1)&_txlock=immediate"}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	s := &Store{db: db, keys: keys, log: log}
	_, err = db.ExecContext(ctx, schema)
	if err == nil {
		err = s.addColumns(ctx)
	}
	if err == nil {
		err = s.reseal(ctx)
	}
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// addColumns adds the columns that a database of an earlier version lacks.
func (s *Store) addColumns(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil) // immediate: another process may be about to do the same
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, c := range [][2]string{{"account", "TEXT NOT NULL DEFAULT ''"}, {"signed_in", "INTEGER NOT NULL DEFAULT 0"}} {
		var there bool
		err := tx.QueryRowContext(ctx, `SELECT count(*) > 0 FROM pragma_table_info('mailbox') WHERE name = ?`, c[0]).Scan(&there)
		if err == nil && !there {
			_, err = tx.ExecContext(ctx, `ALTER TABLE mailbox ADD COLUMN `+c[0]+` `+c[1])
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// reseal goes over to the first key. A token that no key opens is refused from then on:
// its mailbox has to be connected again.
func (s *Store) reseal(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	type row struct {
		connection, address string
		token               []byte
	}
	var all []row
	rows, err := tx.QueryContext(ctx, `SELECT connection, address, token FROM mailbox WHERE refused = ''`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.connection, &r.address, &r.token); err != nil {
			return err
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, r := range all {
		plain, current, err := s.keys.open(r.token, r.connection, r.address)
		switch {
		case err != nil:
			s.log.Error("a connected mailbox cannot be used: none of the keys opens its token; add the key that it was stored with as a further line, or connect it again",
				"connection", r.connection, "mailbox", r.address)
			continue
		case current:
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE mailbox SET token = ? WHERE connection = ? AND address = ?`,
			s.keys.seal(plain, r.connection, r.address), r.connection, r.address); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Connect stores what an owner has agreed to, in place of what was there before. account is
// the name of the account that signed in, if it is another than the address. The SMTP user
// of the mailbox stays.
func (s *Store) Connect(ctx context.Context, connection, address, account, token string) error {
	address = mailaddr.Canonical(address)
	now := time.Now()
	_, err := s.db.ExecContext(ctx, `INSERT INTO mailbox (connection, address, account, token, version, signed_in, connected, renewed) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?6)
		ON CONFLICT DO UPDATE SET account = excluded.account, token = excluded.token,
			version = max(version + 1, excluded.version), signed_in = max(version + 1, excluded.version),
			connected = excluded.connected, renewed = excluded.renewed, refused = ''`,
		connection, address, account, s.keys.seal(token, connection, address), now.UnixMicro(), now.Unix())
	return err
}

// ErrNoSuchMailbox: the mailbox is not connected.
var ErrNoSuchMailbox = errors.New("the mailbox is not connected")

// SetUser gives a mailbox the SMTP user that may send from it, with the bcrypt hash of its
// password, in place of one that it had.
func (s *Store) SetUser(ctx context.Context, connection, address, user, hash string) error {
	return s.change(ctx, `UPDATE mailbox SET user = ?, hash = ? WHERE connection = ? AND address = ?`,
		user, hash, connection, mailaddr.Canonical(address))
}

// Disconnect forgets a mailbox, its token and its user.
func (s *Store) Disconnect(ctx context.Context, connection, address string) error {
	return s.change(ctx, `DELETE FROM mailbox WHERE connection = ? AND address = ?`, connection, mailaddr.Canonical(address))
}

func (s *Store) change(ctx context.Context, statement string, args ...any) error {
	r, err := s.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrNoSuchMailbox)
	}
	return nil
}

const columns = `connection, address, account, connected, renewed, refused, user, hash`

// List returns all mailboxes in order.
func (s *Store) List(ctx context.Context) ([]Mailbox, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+columns+` FROM mailbox ORDER BY connection, address`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Mailbox
	for rows.Next() {
		m, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

// Get returns one mailbox, or ErrNoSuchMailbox.
func (s *Store) Get(ctx context.Context, connection, address string) (Mailbox, error) {
	return s.one(ctx, `connection = ? AND address = ?`, connection, mailaddr.Canonical(address))
}

// User returns the mailbox that an SMTP user sends from, or ErrNoSuchMailbox.
func (s *Store) User(ctx context.Context, name string) (Mailbox, error) {
	if name == "" {
		return Mailbox{}, ErrNoSuchMailbox
	}
	return s.one(ctx, `user = ?`, name)
}

func (s *Store) one(ctx context.Context, where string, args ...any) (Mailbox, error) {
	m, err := scan(s.db.QueryRowContext(ctx, `SELECT `+columns+` FROM mailbox WHERE `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoSuchMailbox
	}
	return m, err
}

func scan(row interface{ Scan(...any) error }) (m Mailbox, err error) {
	var connected, renewed int64
	err = row.Scan(&m.Connection, &m.Address, &m.Account, &connected, &renewed, &m.Refused, &m.User, &m.Hash)
	m.Connected, m.Renewed = time.Unix(connected, 0), time.Unix(renewed, 0)
	return m, err
}

// Tokens are those of one connection; it implements entra.RefreshTokens.
type Tokens struct {
	store      *Store
	connection string
}

// Of returns the tokens of a connection.
func (s *Store) Of(connection string) Tokens { return Tokens{s, connection} }

// RefreshToken implements entra.RefreshTokens.
func (t Tokens) RefreshToken(ctx context.Context, mailbox string) (token string, version int64, err error) {
	var sealed []byte
	if err := t.usable(ctx, mailbox, "token, version", &sealed, &version); err != nil {
		return "", 0, err
	}
	if token, _, err = t.store.keys.open(sealed, t.connection, mailbox); err != nil {
		return "", 0, fmt.Errorf("%w, as long as the key that its token was stored with is not given: %w", graph.ErrNotConnected, err)
	}
	return token, version, nil
}

// Grant implements entra.RefreshTokens.
func (t Tokens) Grant(ctx context.Context, mailbox string) (id int64, err error) {
	err = t.usable(ctx, mailbox, "signed_in", &id)
	return id, err
}

// usable reads columns of a mailbox. The error wraps graph.ErrNotConnected if the mailbox is
// not connected, or Entra no longer accepts its token.
func (t Tokens) usable(ctx context.Context, mailbox, columns string, into ...any) error {
	var refused string
	err := t.store.db.QueryRowContext(ctx, `SELECT `+columns+`, refused FROM mailbox WHERE connection = ? AND address = ?`,
		t.connection, mailbox).Scan(append(into, &refused)...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return graph.ErrNotConnected
	case err != nil:
		return fmt.Errorf("read the connected mailbox: %w", err)
	case refused != "":
		return fmt.Errorf("%w any more: %s", graph.ErrNotConnected, refused)
	}
	return nil
}

// Renew implements entra.RefreshTokens.
func (t Tokens) Renew(ctx context.Context, mailbox string, version int64, token string) {
	_, err := t.store.db.ExecContext(context.WithoutCancel(ctx), `UPDATE mailbox SET token = ?, version = version + 1, renewed = ?
		WHERE connection = ? AND address = ? AND version = ?`,
		t.store.keys.seal(token, t.connection, mailbox), time.Now().Unix(), t.connection, mailbox, version)
	if err != nil {
		t.store.log.Error("cannot store the new token of a connected mailbox; the one before stays", "connection", t.connection, "mailbox", mailbox, "error", err)
	}
}

// maxWhy bounds what is kept of Entra's answer.
const maxWhy = 500

// Refuse implements entra.RefreshTokens.
func (t Tokens) Refuse(ctx context.Context, mailbox string, version int64, why string) {
	why = text.Shorten(text.OneLine(why), maxWhy)
	_, err := t.store.db.ExecContext(context.WithoutCancel(ctx), `UPDATE mailbox SET refused = ? WHERE connection = ? AND address = ? AND version = ?`,
		why, t.connection, mailbox, version)
	t.store.log.Error("a mailbox has to be connected again by its owner, with graphrelay connect or on the page /connect; its mail is held until then",
		"connection", t.connection, "mailbox", mailbox, "answer", why)
	if err != nil {
		t.store.log.Error("cannot store that a mailbox has to be connected again", "connection", t.connection, "mailbox", mailbox, "error", err)
	}
}
