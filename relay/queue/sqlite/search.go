package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
)

const defaultListLimit = 1000

// List implements queue.Reader.
func (s *storage) List(ctx context.Context, f queue.Filter) ([]queue.Record, error) {
	found, err := s.Search(ctx, f, 0)
	return found.Records, err
}

// Search implements queue.Reader. Where all rows are looked at in the order of the list, the query
// also returns some that are not selected, and so shows how far it has come.
func (s *storage) Search(ctx context.Context, f queue.Filter, within time.Duration) (found queue.Found, err error) {
	began := time.Now()
	by, err := f.Way(func(states []queue.State) (bool, error) { return s.few(ctx, states) })
	if err != nil {
		return found, err
	}
	if by == queue.ByState && f.After != "" && within == 0 { // the next part of all
		by = queue.ByID
	}
	if f.Limit <= 0 {
		f.Limit = defaultListLimit
	}
	query, args := searchQuery(f, by, within > 0)
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for rows.Next() {
		var selected bool
		r, err := scanRecord(rows, &selected)
		if err != nil {
			return found, err
		}
		if selected {
			found.Records = append(found.Records, r)
		}
		switch {
		case len(found.Records) == f.Limit:
			return found, nil
		case within > 0 && time.Since(began) > within:
			found.Looked = r.ID
			return found, nil
		}
	}
	return found, rows.Err()
}

// searchQuery returns the query for a list. With marks, it also returns about one in a thousand of
// the other messages that it looks at. The last column is whether the message is selected.
func searchQuery(f queue.Filter, by queue.Way, marks bool) (query string, args []any) {
	w := conditions(f, by)
	selected, limit := "true", fmt.Sprintf(" LIMIT %d", f.Limit)
	if marks && by == queue.ByID && len(w.rest) > 0 {
		selected, limit = strings.Join(w.rest, " AND "), ""
		w.rest = []string{"(m.arrived & 1023 = 0 OR " + selected + ")"}
	}
	order := " ORDER BY m.id"
	if f.Newest {
		order += " DESC"
	}
	return "SELECT " + recordColumns + ", " + selected + " FROM " + recordTables + w.clause() + order + limit, w.args
}

// few reports whether there are few messages in the states.
func (s *storage) few(ctx context.Context, states []queue.State) (few bool, err error) {
	if len(states) == 0 {
		return false, nil
	}
	w := whereStates(states)
	err = s.read.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) <= %d FROM (SELECT 1 FROM message m%s LIMIT %d)",
		queue.FewMessages, w.clause(), queue.FewMessages+1), w.args...).Scan(&few)
	return few, err
}

// Count implements queue.Reader.
func (s *storage) Count(ctx context.Context, f queue.Filter) (n int64, err error) {
	by, err := f.Way(func(states []queue.State) (bool, error) { return s.few(ctx, states) })
	if err != nil {
		return 0, err
	}
	if w := conditions(f, by); by == queue.ByID && len(f.States) > 0 && len(w.ids)+len(w.rest) == 1 { // the index on the state has all that counts
		by = queue.ByState
	}
	w := conditions(f, by)
	tables := "message m"
	if f.Lane != "" {
		tables = recordTables
	}
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM "+tables+w.clause(), w.args...).Scan(&n)
	return n, err
}

// where is a WHERE clause: the bounds of the IDs, and the other conditions. Its arguments are
// numbered, so that a condition can stand in a query twice.
type where struct {
	ids, rest []string
	args      []any
}

func (w *where) clause() string {
	all := slices.Concat(w.ids, w.rest)
	if len(all) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(all, " AND ")
}

// arg adds an argument and returns its place.
func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return fmt.Sprintf("?%d", len(w.args))
}

// and adds a condition with a %s for each value.
func (w *where) and(condition string, values ...any) {
	places := make([]any, len(values))
	for i, v := range values {
		places[i] = w.arg(v)
	}
	w.rest = append(w.rest, fmt.Sprintf(condition, places...))
}

// in adds that a column has one of the values, if there are any.
func in[T ~string](w *where, column string, values []T) {
	if len(values) == 0 {
		return
	}
	places := make([]string, len(values))
	for i, v := range values {
		places[i] = w.arg(string(v))
	}
	w.rest = append(w.rest, column+" IN ("+strings.Join(places, ",")+")")
}

// has adds that a text contains another, whatever their case. instr rather than LIKE: an address
// may hold a wildcard. fold is openSQLite's.
func (w *where) has(column, part string) {
	if part != "" {
		w.and("instr(fold("+column+"), %s) > 0", text.Fold(part))
	}
}

// recipient is has for one of the recipients. Most are excluded by the JSON of all of them, in
// which the part is written as in any other JSON text.
const recipient = "instr(fold(m.recipients), %s) > 0 AND EXISTS (SELECT 1 FROM json_each(m.recipients) WHERE instr(fold(value), %s) > 0)"

// inJSON returns a text as it is written within a JSON text.
func inJSON(s string) string {
	b, _ := json.Marshal(s) // a text
	return string(b[1 : len(b)-1])
}

// laneName is queue.Lane.String without the mailbox.
const laneName = "lane.connection || CASE lane.principal WHEN '' THEN '' ELSE '+' || lane.principal END"

// whereStates selects the messages in some states by the index of these.
func whereStates(states []queue.State) *where {
	w := &where{}
	in(w, "m.state", states)
	return w
}

// conditions returns the WHERE clause of a filter. Those of indexes that are not to be used stand
// behind a plus sign: SQLite uses no index on an expression.
func conditions(f queue.Filter, by queue.Way) *where {
	w := &where{}
	if from, to := f.IDs(); from != "" || to != "" {
		if from != "" {
			w.ids = append(w.ids, "m.id >= "+w.arg(from))
		}
		if to != "" {
			w.ids = append(w.ids, "m.id < "+w.arg(to))
		}
	}
	if by == queue.ByState {
		in(w, "m.state", f.States)
	} else {
		in(w, "+m.state", f.States)
	}
	in(w, "m.reason", f.Reasons)
	if f.Lane != "" {
		w.and("%s IN ("+laneName+", "+laneName+" || '/' || lane.mailbox)", f.Lane)
	}
	if f.HasContent {
		w.and("m.body != 0")
	}
	if !f.Since.IsZero() {
		w.and("m.received >= %s", micros(f.Since))
	}
	if !f.Before.IsZero() {
		w.and("m.received < %s", micros(f.Before))
	}
	switch {
	case f.MessageID != "" && by == queue.ByMessageID:
		v := w.arg(f.MessageID)
		w.and("m.id IN (SELECT id FROM message WHERE message_id = " + v + " AND state IN ('sent', 'returned')" +
			" UNION ALL SELECT id FROM message WHERE message_id = " + v + " AND state IN ('" + joined(queue.NotLeft(), "', '") + "'))")
	case f.MessageID != "":
		w.and("+m.message_id = %s", f.MessageID)
	}
	w.texts(f)
	return w
}

// texts adds what a filter says of texts.
func (w *where) texts(f queue.Filter) {
	if f.User != "" {
		w.and("fold(m.user) = %s", text.Fold(f.User))
	}
	w.has("m.client", f.Client)
	w.has("m.mail_from", f.From)
	w.has("m.subject", f.Subject)
	if f.To != "" {
		to := text.Fold(f.To)
		w.and(recipient, inJSON(to), to)
	}
	if f.Text != "" {
		part := text.Fold(f.Text)
		w.and("(instr(fold(m.id || char(10) || m.message_id || char(10) || m.mail_from || char(10) || m.header_from || char(10) || m.subject), %s) > 0"+
			" OR "+recipient+")", part, inJSON(part), part)
	}
}

func joined[T ~string](list []T, separator string) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(string(s))
	}
	return b.String()
}
