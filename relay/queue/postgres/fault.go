package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"graphrelay/relay/queue"
)

// Errors within the engine.
var (
	// errAlone: the operation has to run in a transaction of its own.
	errAlone = errors.New("has to run alone")
	// errLost: the connection was lost, or took too long, before anything was committed.
	errLost = errors.New("the connection to the database was lost")
	// errVoid: the connection was lost at the commit, of which nothing remains.
	errVoid = errors.New("the connection to the database was lost at the commit")
)

// SQLSTATE codes (postgresql.org/docs/current/errcodes-appendix.html).
const (
	codeDivision      = "22012"
	codeForeignKey    = "23503"
	codeReadOnly      = "25006" // of a server that is no longer the primary
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeDuplicate     = "42P07" // of two processes that create the same table
	codeUnique        = "23505"
	codeDiskFull      = "53100"
	codeLockTimeout   = "55P03"
	codeConnections   = "53300"
)

// sqlState returns the code of the server's error, empty if it is none.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// retryable reports whether the server refused a transaction for what others did meanwhile.
// A lane without messages may be removed while one comes: that is a missing foreign key.
func retryable(err error) bool {
	return errors.Is(err, errVoid) || slices.Contains([]string{codeSerialization, codeDeadlock, codeLockTimeout, codeForeignKey}, sqlState(err))
}

// lost reports whether the server cannot be used on this connection any longer.
func lost(conn *pgx.Conn, err error) bool {
	if conn.IsClosed() {
		return true
	}
	switch code := sqlState(err); {
	case code == codeReadOnly, code == codeConnections:
		return true
	default:
		return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P")
	}
}

// refusal reports whether err concerns one operation, and not the storage.
func refusal(err error) bool {
	return errors.Is(err, queue.ErrFenced) || errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrState)
}

// fault returns the error of package queue for an error of the database.
func fault(err error) error {
	if sqlState(err) == codeDiskFull {
		return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
	}
	return err
}

// oneLine keeps an error that tells of several servers on one line.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\t' || r == '\r' })
	return strings.Join(lines, " ")
}
