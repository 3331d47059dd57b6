package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

// migrations holds what makes each schema from the one before, by number: 001.sql begins
// with nothing. A released file never changes. Times are Unix microseconds, 0 for none.
//
//go:embed schema/*.sql
var migrations embed.FS

// schemaVersion is kept in user_version; it is the number of the last migration.
const schemaVersion = 3

// migrate brings the database to schemaVersion. Only a daemon may convert an older one:
// another might be at work on it.
func migrate(ctx context.Context, c *sql.Conn, daemon bool) error {
	var version int
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version > schemaVersion:
		return fmt.Errorf("the queue was written by a newer graphrelay (schema %d, this one knows %d); run that version", version, schemaVersion)
	case 0 < version && version < schemaVersion && !daemon:
		return fmt.Errorf("the queue was written by an older graphrelay (schema %d, this one needs %d); start the relay once to convert it", version, schemaVersion)
	}
	return migrateTo(ctx, c, version, schemaVersion)
}

// migrateTo applies the migrations after version from, up to version to, all or none.
func migrateTo(ctx context.Context, c *sql.Conn, from, to int) error {
	if from == to {
		return nil
	}
	script := "BEGIN IMMEDIATE;"
	for v := from + 1; v <= to; v++ {
		text, err := fs.ReadFile(migrations, fmt.Sprintf("schema/%03d.sql", v))
		if err != nil {
			return err
		}
		script += string(text)
	}
	_, err := c.ExecContext(ctx, script+fmt.Sprintf("PRAGMA user_version = %d; COMMIT", to))
	if err != nil {
		_, _ = c.ExecContext(ctx, "ROLLBACK")
	}
	return err
}

// checkPragmas reads back what durability rests on: a database that was opened
// with less must not take mail.
func checkPragmas(ctx context.Context, c *sql.Conn) error {
	var journal string
	var synchronous int
	if err := c.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return err
	}
	if err := c.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if journal != "wal" || synchronous != 2 {
		return fmt.Errorf("the file system gives journal_mode=%s synchronous=%d, but the queue needs wal and 2 (FULL); put data_dir on a local disk", journal, synchronous)
	}
	return nil
}
