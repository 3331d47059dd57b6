package sqlite

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	sqlite3 "modernc.org/sqlite/lib"
)

// direct is a connection through SQLite's own interface (sqlite.org/c3ref/intro.html). The
// writer has one: its statements are so small that database/sql and the driver take as long as
// SQLite itself, for conversions, locks and memory. It is used by one goroutine at a time, and
// nothing interrupts it.
type direct struct {
	tls *libc.TLS
	db  uintptr
}

// openDirect opens the database of a DSN as dsn returns it, with the pragmas alone that are
// given here.
func openDirect(name string, pragmas ...string) (*direct, error) {
	d := &direct{tls: libc.NewTLS()}
	text, err := libc.CString(name)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(d.tls, text)
	handle := libc.Xcalloc(d.tls, 1, types.Size_t(unsafe.Sizeof(d.db)))
	defer libc.Xfree(d.tls, handle)
	const flags = sqlite3.SQLITE_OPEN_READWRITE | sqlite3.SQLITE_OPEN_CREATE | sqlite3.SQLITE_OPEN_URI | sqlite3.SQLITE_OPEN_NOMUTEX
	rc := sqlite3.Xsqlite3_open_v2(d.tls, text, handle, flags, 0)
	d.db = *(*uintptr)(pointer(handle))
	if rc != sqlite3.SQLITE_OK {
		return nil, errors.Join(d.fault(rc), d.close())
	}
	sqlite3.Xsqlite3_extended_result_codes(d.tls, d.db, 1)
	for _, p := range pragmas {
		if err := d.run("PRAGMA " + p); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

// close is called when all statements are closed.
func (d *direct) close() error {
	if rc := sqlite3.Xsqlite3_close(d.tls, d.db); rc != sqlite3.SQLITE_OK {
		return d.fault(rc)
	}
	d.tls.Close()
	return nil
}

// run compiles and runs a statement once.
func (d *direct) run(query string, args ...any) error {
	return d.once(query, func(s *statement) error { return s.exec(args) })
}

// read compiles a statement once, and scans its first row.
func (d *direct) read(query string, to ...any) error {
	return d.once(query, func(s *statement) error { return s.first(nil).Scan(to...) })
}

func (d *direct) once(query string, do func(*statement) error) error {
	s, err := d.prepare(query)
	if err != nil {
		return err
	}
	defer s.close()
	return do(s)
}

// engineError is an error of SQLite with its extended result code, as *sqlite.Error is.
type engineError struct {
	code int
	text string
}

func (e *engineError) Error() string { return fmt.Sprintf("%s (%d)", e.text, e.code) }

// Code returns the extended result code.
func (e *engineError) Code() int { return e.code }

func (d *direct) fault(rc int32) error {
	e := &engineError{int(rc), libc.GoString(sqlite3.Xsqlite3_errstr(d.tls, rc))}
	if more := libc.GoString(sqlite3.Xsqlite3_errmsg(d.tls, d.db)); more != e.text {
		e.text += ": " + more
	}
	return e
}

// statement is a compiled statement. It can be run again and again.
type statement struct {
	d       *direct
	handle  uintptr
	columns int
	memory  uintptr // of the texts and blobs that are bound
	room    int
}

// prepare compiles a query that is one statement.
func (d *direct) prepare(query string) (*statement, error) {
	text, err := libc.CString(query)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(d.tls, text)
	s := &statement{d: d}
	out := libc.Xcalloc(d.tls, 2, types.Size_t(unsafe.Sizeof(s.handle)))
	defer libc.Xfree(d.tls, out)
	tail := out + unsafe.Sizeof(s.handle)
	if rc := sqlite3.Xsqlite3_prepare_v2(d.tls, d.db, text, -1, out, tail); rc != sqlite3.SQLITE_OK {
		return nil, d.fault(rc)
	}
	s.handle = *(*uintptr)(pointer(out))
	if rest := libc.GoString(*(*uintptr)(pointer(tail))); rest != "" {
		s.close()
		return nil, fmt.Errorf("more than one statement: %s", rest)
	}
	s.columns = int(sqlite3.Xsqlite3_column_count(d.tls, s.handle))
	return s, nil
}

func (s *statement) close() {
	sqlite3.Xsqlite3_finalize(s.d.tls, s.handle) // its error is that of the last step
	libc.Xfree(s.d.tls, s.memory)
	s.handle, s.memory = 0, 0
}

// exec runs the statement to its end.
func (s *statement) exec(args []any) error {
	defer s.reset()
	if err := s.bind(args); err != nil {
		return err
	}
	for {
		if more, err := s.step(); !more {
			return err
		}
	}
}

// first returns the first row. Its Scan ends the statement.
func (s *statement) first(args []any) *rows {
	return &rows{s: s, single: true, err: s.bind(args)}
}

// query returns all rows, which have to be closed before the statement is run again.
func (s *statement) query(args []any) (*rows, error) {
	if err := s.bind(args); err != nil {
		return nil, err
	}
	return &rows{s: s}, nil
}

// step reports whether there is another row.
func (s *statement) step() (bool, error) {
	switch rc := sqlite3.Xsqlite3_step(s.d.tls, s.handle); rc {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, s.d.fault(rc)
	}
}

func (s *statement) reset() { sqlite3.Xsqlite3_reset(s.d.tls, s.handle) } // its error is that of the last step

// bind sets all parameters. Texts and blobs are copied into memory that stays as it is until
// the statement has ended, so that SQLite needs no copy of its own.
func (s *statement) bind(args []any) error {
	size := 0
	for _, arg := range plain(args) {
		switch v := arg.(type) {
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		}
	}
	if size > s.room || s.memory == 0 {
		libc.Xfree(s.d.tls, s.memory)
		s.room = max(size, 256)
		if s.memory = libc.Xmalloc(s.d.tls, types.Size_t(s.room)); s.memory == 0 {
			return s.d.fault(sqlite3.SQLITE_NOMEM)
		}
	}
	used := 0
	for i, arg := range args {
		n, err := s.bindOne(int32(i+1), arg, used)
		if err != nil {
			return err
		}
		used += n
	}
	return nil
}

// bindOne sets a parameter. It returns how much of the memory it has used.
func (s *statement) bindOne(i int32, arg any, used int) (size int, err error) {
	tls, place := s.d.tls, s.memory+uintptr(used)
	rc := int32(sqlite3.SQLITE_OK)
	switch v := arg.(type) {
	case int64:
		rc = sqlite3.Xsqlite3_bind_int64(tls, s.handle, i, v)
	case string:
		size = copy(unsafe.Slice((*byte)(pointer(place)), len(v)), v)
		rc = sqlite3.Xsqlite3_bind_text(tls, s.handle, i, place, int32(size), sqlite3.SQLITE_STATIC)
	case []byte:
		size = copy(unsafe.Slice((*byte)(pointer(place)), len(v)), v)
		rc = sqlite3.Xsqlite3_bind_blob(tls, s.handle, i, place, int32(size), sqlite3.SQLITE_STATIC)
	default:
		return 0, fmt.Errorf("a parameter of type %T", arg)
	}
	if rc != sqlite3.SQLITE_OK {
		return 0, s.d.fault(rc)
	}
	return size, nil
}

// plain returns the value that SQLite stores for each argument.
func plain(args []any) []any {
	for i, arg := range args {
		switch v := arg.(type) {
		case string, []byte, int64:
		case bool:
			args[i] = int64(0)
			if v {
				args[i] = int64(1)
			}
		default:
			switch r := reflect.ValueOf(arg); r.Kind() {
			case reflect.String:
				args[i] = r.String()
			case reflect.Int, reflect.Int64, reflect.Int32:
				args[i] = r.Int()
			}
		}
	}
	return args
}

// rows are the rows of a query. With single, they are the first one.
type rows struct {
	s      *statement
	single bool
	err    error
}

func (r *rows) Next() bool {
	if r.err != nil {
		return false
	}
	more, err := r.s.step()
	r.err = err
	return more
}

func (r *rows) Err() error { return r.err }

func (r *rows) Close() error {
	r.s.reset()
	return nil
}

// Scan implements scanner. It returns sql.ErrNoRows where there is no single row.
func (r *rows) Scan(to ...any) error {
	if r.single {
		defer r.s.reset()
		if !r.Next() {
			return cmp.Or(r.err, sql.ErrNoRows)
		}
	}
	for i, target := range to {
		if err := assign(target, r.s.column(int32(i))); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

// column returns a value of the row as database/sql does.
func (s *statement) column(i int32) any {
	tls := s.d.tls
	switch sqlite3.Xsqlite3_column_type(tls, s.handle, i) {
	case sqlite3.SQLITE_INTEGER:
		return sqlite3.Xsqlite3_column_int64(tls, s.handle, i)
	case sqlite3.SQLITE_FLOAT:
		return sqlite3.Xsqlite3_column_double(tls, s.handle, i)
	case sqlite3.SQLITE_TEXT:
		p := sqlite3.Xsqlite3_column_text(tls, s.handle, i)
		return string(s.value(p, i))
	case sqlite3.SQLITE_BLOB:
		p := sqlite3.Xsqlite3_column_blob(tls, s.handle, i)
		return append([]byte{}, s.value(p, i)...)
	}
	return nil
}

func (s *statement) value(p uintptr, i int32) []byte {
	return unsafe.Slice((*byte)(pointer(p)), sqlite3.Xsqlite3_column_bytes(s.d.tls, s.handle, i))
}

// assign stores a value where Scan is to store it.
func assign(target, value any) error {
	if s, ok := target.(sql.Scanner); ok {
		return s.Scan(value)
	}
	to := reflect.ValueOf(target).Elem()
	switch v := value.(type) {
	case int64:
		switch to.Kind() {
		case reflect.Int64, reflect.Int:
			to.SetInt(v)
			return nil
		case reflect.Bool:
			to.SetBool(v != 0)
			return nil
		}
	case string:
		if to.Kind() == reflect.String {
			to.SetString(v)
			return nil
		}
	}
	return fmt.Errorf("a %T cannot be stored in a %T", value, target)
}

// pointer returns an address outside of Go's memory as a pointer.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
