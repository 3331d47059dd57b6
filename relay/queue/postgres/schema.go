package postgres

import (
	"context"
	"embed"
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

// schemaVersion is the number of the last migration.
const schemaVersion = 2

const createSchema = `CREATE TABLE IF NOT EXISTS graphrelay_schema (
	id         INTEGER PRIMARY KEY CHECK (id = 1),
	version    INTEGER NOT NULL, -- the number of the last migration
	compatible INTEGER NOT NULL  -- programs that know this one may use the database
); INSERT INTO graphrelay_schema (id, version, compatible) VALUES (1, 0, 0) ON CONFLICT DO NOTHING`

// schemaTime is how long a migration may take.
const schemaTime = 10 * time.Minute

// migrate brings the database to schemaVersion, one process at a time. Only a node does so.
func (s *storage) migrate(ctx context.Context, node bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, schemaTime)
	defer cancel()
	for range maxTries {
		err = s.onConn(ctx, s.work, func(c *pgx.Conn) error { return migrate(ctx, c, node) })
		// Two processes that create the same table get in each other's way even with IF NOT EXISTS.
		if !retryable(err) && !slices.Contains([]string{codeDuplicate, codeUnique}, sqlState(err)) {
			break
		}
	}
	return err
}

func migrate(ctx context.Context, c *pgx.Conn, node bool) error {
	version, compatible, err := readVersion(ctx, c)
	switch {
	case err != nil:
		return err
	case compatible > schemaVersion:
		return fmt.Errorf("the queue was written by a newer graphrelay (schema %d, this one knows %d); run that version", version, schemaVersion)
	case version == 0 && !node:
		return errors.New("there is no queue yet; start the relay once")
	case version < schemaVersion && !node:
		return fmt.Errorf("the queue was written by an older graphrelay (schema %d, this one needs %d); start the relay once to convert it", version, schemaVersion)
	case version >= schemaVersion:
		return nil
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after the commit
	if err := migrateTo(ctx, tx, schemaVersion); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// readVersion returns zeros for a database without a queue.
func readVersion(ctx context.Context, c *pgx.Conn) (version, compatible int, err error) {
	var exists bool
	if err := c.QueryRow(ctx, "SELECT to_regclass('graphrelay_schema') IS NOT NULL").Scan(&exists); err != nil || !exists {
		return 0, 0, err
	}
	err = c.QueryRow(ctx, "SELECT version, compatible FROM graphrelay_schema WHERE id = 1").Scan(&version, &compatible)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return version, compatible, err
}

// migrateTo applies the migrations that are missing, with the row of the version locked.
func migrateTo(ctx context.Context, tx pgx.Tx, to int) error {
	pg := tx.Conn().PgConn()
	if _, err := pg.Exec(ctx, createSchema).ReadAll(); err != nil {
		return err
	}
	var version, compatible int
	if err := tx.QueryRow(ctx, "SELECT version, compatible FROM graphrelay_schema WHERE id = 1 FOR UPDATE").Scan(&version, &compatible); err != nil {
		return err
	}
	for v := version + 1; v <= to; v++ {
		script, err := fs.ReadFile(migrations, fmt.Sprintf("schema/%03d.sql", v))
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(script), "\n")
		if _, err := fmt.Sscanf(first, "-- compatible: %d", &compatible); err != nil {
			return fmt.Errorf("migration %d does not say what it is compatible with: %w", v, err)
		}
		if _, err := pg.Exec(ctx, string(script)).ReadAll(); err != nil {
			return fmt.Errorf("migration %d: %w", v, err)
		}
	}
	if version >= to {
		return nil
	}
	_, err := tx.Exec(ctx, "UPDATE graphrelay_schema SET version = $1, compatible = $2 WHERE id = 1", to, compatible)
	return err
}
