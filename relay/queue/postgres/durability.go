package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// warn says what the settings of the server may cost. A setting that only a superuser may see,
// or that the engine does not have, is passed over.
func (s *storage) warn(ctx context.Context, say func(string)) error {
	return s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var fsync, pages, standbys *string
		if err := rows.Scan(&fsync, &pages, &standbys); err != nil {
			return err
		}
		if is(fsync, "off") || is(pages, "off") {
			say("the database runs with fsync or full_page_writes off: accepted mail is lost if its machine loses power; turn both on")
		}
		if is(standbys, "") {
			say("the database has no synchronous standby (synchronous_standby_names): if its disk is lost, or another server takes over, mail that was accepted just before is lost with it")
		}
		return nil
	}, "SELECT current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('synchronous_standby_names', true)")
}

func is(setting *string, value string) bool { return setting != nil && *setting == value }
