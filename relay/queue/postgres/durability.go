package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// warn says what the settings of the server may cost, and whether a newer version is at work. A
// setting that only a superuser may see, or that the engine does not have, is passed over.
func (s *storage) warn(ctx context.Context, say func(string)) error {
	return s.reading(ctx, s.read, func(rows pgx.Rows) error {
		var fsync, pages, standbys *string
		var version int
		if err := rows.Scan(&fsync, &pages, &standbys, &version); err != nil {
			return err
		}
		if known := s.schema.version(); version > known {
			say(fmt.Sprintf("the queue has the schema of a newer graphrelay (%d, this one knows %d), which this one can use; bring all nodes to one version", version, known))
		}
		if is(fsync, "off") || is(pages, "off") {
			say("the database runs with fsync or full_page_writes off: accepted mail is lost if its machine loses power; turn both on")
		}
		if is(standbys, "") {
			say("the database has no synchronous standby (synchronous_standby_names): if its disk is lost, or another server takes over, mail that was accepted just before is lost with it")
		}
		return nil
	}, "SELECT current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('synchronous_standby_names', true), (SELECT version FROM graphrelay_schema WHERE id = 1)")
}

func is(setting *string, value string) bool { return setting != nil && *setting == value }
