package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"

	"modernc.org/sqlite"

	"graphrelay/internal/text"
)

// openSQLite returns the connections to a database. Beside SQLite's own functions, which know
// ASCII letters only, they have fold(TEXT), which is text.Fold.
func openSQLite(dsn string) *sql.DB { return sql.OpenDB(connector(dsn)) }

// connector connects to the database of a DSN.
type connector string

// Connect and Driver implement driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) { return engine().Open(string(c)) }
func (connector) Driver() driver.Driver                          { return engine() }

var engine = sync.OnceValue(func() *sqlite.Driver {
	d := &sqlite.Driver{}
	d.MustRegisterDeterministicScalarFunction("fold", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		if s, ok := args[0].(string); ok {
			return text.Fold(s), nil
		}
		return args[0], nil
	})
	return d
})

// useFdatasync has SQLite sync with fdatasync(2) where the system has it, as SQLite is built
// everywhere but in this driver. That writes all that is needed to read the file again, its
// length included. An fsync also writes the times of the file, which costs a write of another
// block at each commit.
func useFdatasync() { _, _ = sqlite.Fdatasync(true) } // it fails where there is none
