package postgres

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// migrations holds what makes each schema from the one before, by number: 001.sql begins with
// nothing. A released file never changes. Its first line names the oldest schema whose
// programs may go on to use the database beside this one's: where a migration only adds
// something, the nodes can be brought to the new version one after the other.
//
//go:embed schema/*.sql
var migrations embed.FS

// embeddedVersion is the number of the last migration of these.
const embeddedVersion = 6

// further is one more migration. It is empty but in programs that tests build with it (-X), as one
// of the next version.
var further string

// schema is what a program knows of schemas.
type schema struct{ further string }

// version returns the number of the last migration.
func (s schema) version() int {
	if s.further != "" {
		return embeddedVersion + 1
	}
	return embeddedVersion
}

// migration returns the script with a number.
func (s schema) migration(version int) (string, error) {
	if version > embeddedVersion {
		return s.further, nil
	}
	script, err := fs.ReadFile(migrations, fmt.Sprintf("schema/%03d.sql", version))
	return string(script), err
}

const createSchema = `CREATE TABLE IF NOT EXISTS graphrelay_schema (
	id         INTEGER PRIMARY KEY CHECK (id = 1),
	version    INTEGER NOT NULL, -- the number of the last migration
	compatible INTEGER NOT NULL  -- programs that know this one may use the database
); INSERT INTO graphrelay_schema (id, version, compatible) VALUES (1, 0, 0) ON CONFLICT DO NOTHING`

// schemaTime is how long a migration may take.
const schemaTime = 10 * time.Minute

// migrate brings the database to the last schema, one process at a time. Only a node does so, and not
// while there are nodes at work that could not go on.
func (s *storage) migrate(ctx context.Context, node string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, schemaTime)
	defer cancel()
	for range maxTries {
		err = s.onConn(ctx, s.work, func(c *pgx.Conn) error { return s.schema.migrate(ctx, c, node) })
		// Two processes that create the same table get in each other's way even with IF NOT EXISTS.
		if !retryable(err) && !slices.Contains([]string{codeDuplicate, codeUnique}, sqlState(err)) {
			break
		}
	}
	return err
}

func (s schema) migrate(ctx context.Context, c *pgx.Conn, node string) error {
	version, compatible, err := readVersion(ctx, c)
	known := s.version()
	switch {
	case err != nil:
		return err
	case compatible > known:
		return s.errNewer(version)
	case version == 0 && node == "":
		return errors.New("there is no queue yet; start the relay once")
	case version < known && node == "":
		return fmt.Errorf("the queue was written by an older graphrelay (schema %d, this one needs %d); start the relay once to convert it", version, known)
	case version >= known:
		return nil
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after the commit
	if err := s.migrateTo(ctx, tx, known); err != nil {
		return err
	}
	if err := othersGoOn(ctx, tx, node); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// errNewer is the refusal of a queue of this schema.
func (s schema) errNewer(version int) error {
	return fmt.Errorf("the queue was written by a newer graphrelay (schema %d, this one knows %d); run that version", version, s.version())
}

// othersGoOn returns an error if there is another node at work that does not know a schema with
// which the new one is compatible.
func othersGoOn(ctx context.Context, tx pgx.Tx, node string) error {
	_, compatible, err := readVersion(ctx, tx.Conn())
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, "SELECT name, about FROM node WHERE lease > "+databaseTime+" AND name <> $1 ORDER BY name", escape(node))
	if err != nil {
		return err
	}
	var name, about string
	_, err = pgx.ForEachRow(rows, []any{&name, &about}, func() error {
		var a nodeAbout
		if err := json.Unmarshal([]byte(unescape(about)), &a); err != nil {
			return err
		}
		if a.Schema < compatible {
			return fmt.Errorf("%s is at work, with a version that cannot go on with the schema of this one; stop all nodes of that version before you start this one", unescape(name))
		}
		return nil
	})
	return err
}

// check reads selectSchema, and returns an error if this program must not use the database any longer.
func (s schema) check(r pgx.Row) error {
	var version, compatible int
	if err := r.Scan(&version, &compatible); err != nil {
		return err
	}
	if compatible > s.version() {
		return s.errNewer(version)
	}
	return nil
}

const selectSchema = "SELECT version, compatible FROM graphrelay_schema WHERE id = 1"

// readVersion returns zeros for a database without a queue.
func readVersion(ctx context.Context, c *pgx.Conn) (version, compatible int, err error) {
	var exists bool
	if err := c.QueryRow(ctx, "SELECT to_regclass('graphrelay_schema') IS NOT NULL").Scan(&exists); err != nil || !exists {
		return 0, 0, err
	}
	err = c.QueryRow(ctx, selectSchema).Scan(&version, &compatible)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return version, compatible, err
}

// migrateTo applies the migrations that are missing, with the row of the version locked.
func (s schema) migrateTo(ctx context.Context, tx pgx.Tx, to int) error {
	pg := tx.Conn().PgConn()
	if _, err := pg.Exec(ctx, createSchema).ReadAll(); err != nil {
		return err
	}
	var version, compatible int
	if err := tx.QueryRow(ctx, selectSchema+" FOR UPDATE").Scan(&version, &compatible); err != nil {
		return err
	}
	for v := version + 1; v <= to; v++ {
		script, err := s.migration(v)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(script, "\n")
		if _, err := fmt.Sscanf(first, "-- compatible: %d", &compatible); err != nil {
			return fmt.Errorf("migration %d does not say what it is compatible with: %w", v, err)
		}
		if _, err := pg.Exec(ctx, script).ReadAll(); err != nil {
			return fmt.Errorf("migration %d: %w", v, err)
		}
	}
	if version >= to {
		return nil
	}
	_, err := tx.Exec(ctx, "UPDATE graphrelay_schema SET version = $1, compatible = $2 WHERE id = 1", to, compatible)
	return err
}
