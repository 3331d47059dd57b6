package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"graphrelay/relay/queue"
)

// migrations holds what makes each schema from the one before, by number: 001.sql begins
// with nothing. A released file never changes. Times are Unix microseconds, 0 for none.
//
//go:embed schema/*.sql
var migrations embed.FS

// schemaVersion is kept in user_version; it is the number of the last migration.
const schemaVersion = 12

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
	case version == 0 && !daemon:
		return errors.New("there is no queue yet; start the relay once")
	case version < schemaVersion && !daemon:
		return fmt.Errorf("the queue was written by an older graphrelay (schema %d, this one needs %d); start the relay once to convert it", version, schemaVersion)
	}
	return migrateTo(ctx, c, version, schemaVersion)
}

// migrateTo applies the migrations after version from, up to version to, all or none.
func migrateTo(ctx context.Context, c *sql.Conn, from, to int) error {
	if from == to {
		return nil
	}
	_, err := c.ExecContext(ctx, "BEGIN IMMEDIATE")
	for v := from + 1; v <= to && err == nil; v++ {
		err = migrateOne(ctx, c, v)
	}
	if err == nil {
		_, err = c.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; COMMIT", to))
	}
	if err != nil {
		_, _ = c.ExecContext(ctx, "ROLLBACK")
	}
	return err
}

func migrateOne(ctx context.Context, c *sql.Conn, version int) error {
	script, err := fs.ReadFile(migrations, fmt.Sprintf("schema/%03d.sql", version))
	if err == nil {
		_, err = c.ExecContext(ctx, string(script))
	}
	if err == nil && version == 4 {
		err = resealAll(ctx, c)
	}
	return err
}

// resealAll extends the checksums of schema 3 to the fields that schema 4 adds. A checksum
// that was wrong stays wrong.
func resealAll(ctx context.Context, c *sql.Conn) error {
	rows, err := c.QueryContext(ctx, "SELECT message.id, sum, "+sealedColumns+" FROM message JOIN lane ON lane.id = message.lane WHERE body != 0")
	if err != nil {
		return err
	}
	defer rows.Close()
	sums := map[string]int64{}
	for rows.Next() {
		var id string
		var sum int64
		var fields [sealedFields]string
		columns := []any{&id, &sum}
		for i := range fields {
			columns = append(columns, &fields[i])
		}
		if err := rows.Scan(columns...); err != nil {
			return err
		}
		sums[id] = queue.Seal(uint32(sum), fields[sealedBefore4:]...)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	update, err := c.PrepareContext(ctx, "UPDATE message SET sum=? WHERE id=?")
	if err != nil {
		return err
	}
	defer update.Close()
	for id, sum := range sums {
		if _, err := update.ExecContext(ctx, sum, id); err != nil {
			return err
		}
	}
	return nil
}

// checkPragmas reads back what durability rests on: a database that was opened
// with less must not take mail.
func checkPragmas(d *direct) error {
	var journal string
	var synchronous int
	if err := d.read("PRAGMA journal_mode", &journal); err != nil {
		return err
	}
	if err := d.read("PRAGMA synchronous", &synchronous); err != nil {
		return err
	}
	if journal != "wal" || synchronous != 2 {
		return fmt.Errorf("the file system gives journal_mode=%s synchronous=%d, but the queue needs wal and 2 (FULL); put data_dir on a local disk", journal, synchronous)
	}
	return nil
}
