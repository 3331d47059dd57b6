package postgres

import (
	"context"
	"encoding/json"
	"errors"
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

// Search implements queue.Reader.
func (s *storage) Search(ctx context.Context, f queue.Filter, within time.Duration) (found queue.Found, err error) {
	if f.Limit <= 0 {
		f.Limit = defaultListLimit
	}
	found.Looked, err = s.look(ctx, f, within, func(r queue.Record) bool {
		found.Records = append(found.Records, r)
		return len(found.Records) < f.Limit
	})
	return found, err
}

// Count implements queue.Reader.
func (s *storage) Count(ctx context.Context, f queue.Filter) (n int64, err error) {
	if folds(f) {
		f.Limit = mostRead
		_, err = s.look(ctx, f, 0, func(queue.Record) bool { n++; return true })
		return n, err
	}
	w := conditions(f, queue.ByID)
	err = s.one(ctx, s.read, []any{&n}, "SELECT count(*) FROM "+recordTables+w.clause(), w.args...)
	return n, err
}

// folds reports whether the filter compares texts without regard to case, which the database
// does for ASCII alone.
func folds(f queue.Filter) bool {
	return f.From != "" || f.To != "" || f.User != "" || f.Client != "" || f.Subject != "" || f.Text != ""
}

const (
	lookAt    = 10_000 // messages that one query of a search looks at
	leastRead = 200    // records that one query reads at most: as many as are wanted, within these bounds
	mostRead  = 2000
)

// look calls each for the messages that a filter selects, until it returns false. If the time
// is over before, looked is the ID up to which it has looked.
func (s *storage) look(ctx context.Context, f queue.Filter, within time.Duration, each func(queue.Record) bool) (looked string, err error) {
	began, selects := time.Now(), textFilter(f)
	f.Limit = min(max(f.Limit, leastRead), mostRead)
	by, err := f.Way(func(states []queue.State) (bool, error) { return s.few(ctx, states) })
	for err == nil {
		end := ""
		if within > 0 && by == queue.ByID {
			if end, err = s.lookEnd(ctx, f); err != nil {
				return "", err
			}
		}
		page, err := s.page(ctx, f, by, end)
		if err != nil {
			return "", err
		}
		for _, r := range page {
			if selects(r) && !each(r) {
				return "", nil
			}
		}
		switch {
		case len(page) == f.Limit:
			f.After = page[len(page)-1].ID
		case end == "":
			return "", nil
		default:
			f.After = end
		}
		if within > 0 && time.Since(began) > within {
			return f.After, nil
		}
	}
	return "", err
}

// lookEnd returns the ID up to which the next query of a search looks, empty if it is the last one.
func (s *storage) lookEnd(ctx context.Context, f queue.Filter) (id string, err error) {
	w := &where{}
	w.ids(f, "")
	err = s.one(ctx, s.read, []any{&id}, fmt.Sprintf("SELECT id FROM message m%s ORDER BY m.id %s LIMIT 1 OFFSET %d", w.clause(), direction(f), lookAt-1), w.args...)
	if errors.Is(err, queue.ErrNotFound) {
		return "", nil
	}
	return id, err
}

// page returns the first records that the conditions select, up to the ID end unless that is
// empty. What they say of texts is less than what the filter says.
func (s *storage) page(ctx context.Context, f queue.Filter, by queue.Way, end string) ([]queue.Record, error) {
	w := conditions(f, by)
	if end != "" {
		w.ids(f, end)
	}
	order := "m.id"
	if by != queue.ByID {
		order += " || ''" // the primary key is not read in its order
	}
	return s.records(ctx, fmt.Sprintf("%s ORDER BY %s %s LIMIT %d", w.clause(), order, direction(f), f.Limit), w.args...)
}

func direction(f queue.Filter) string {
	if f.Newest {
		return "DESC"
	}
	return "ASC"
}

// few reports whether there are few messages in the states.
func (s *storage) few(ctx context.Context, states []queue.State) (few bool, err error) {
	if len(states) == 0 {
		return false, nil
	}
	err = s.one(ctx, s.read, []any{&few}, fmt.Sprintf("SELECT count(*) <= %d FROM (SELECT 1 FROM message WHERE state = ANY($1) LIMIT %d) AS first",
		queue.FewMessages, queue.FewMessages+1), names(states))
	return few, err
}

func names[T ~string](list []T) (texts []string) {
	for _, x := range list {
		texts = append(texts, string(x))
	}
	return texts
}

// textFilter returns what a filter says of texts.
func textFilter(f queue.Filter) func(queue.Record) bool {
	from, to, user, subject, client, any := text.Fold(f.From), text.Fold(f.To), text.Fold(f.User), text.Fold(f.Subject), text.Fold(f.Client), text.Fold(f.Text)
	has := func(part string, texts ...string) bool {
		return part == "" || slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(text.Fold(s), part) })
	}
	return func(r queue.Record) bool {
		return has(from, r.Envelope.From) && has(subject, r.Subject) && (user == "" || text.Fold(r.User) == user) && has(client, r.Client) &&
			has(to, r.Envelope.To...) && (has(any, r.ID, r.MessageID, r.Envelope.From, r.From, r.Subject) || has(any, r.Envelope.To...))
	}
}

// where is a WHERE clause.
type where struct {
	all  []string
	args []any
}

func (w *where) clause() string {
	if len(w.all) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.all, " AND ")
}

// arg adds an argument and returns its place.
func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return fmt.Sprintf("$%d", len(w.args))
}

// and adds a condition with a %s for each value.
func (w *where) and(condition string, values ...any) {
	places := make([]any, len(values))
	for i, v := range values {
		places[i] = w.arg(v)
	}
	w.all = append(w.all, fmt.Sprintf(condition, places...))
}

// ids adds the bounds of the IDs; end is the last one in the order of the list, if it is not empty.
func (w *where) ids(f queue.Filter, end string) {
	from, to := f.IDs()
	if from != "" {
		w.and("m.id >= %s", escape(from))
	}
	if to != "" {
		w.and("m.id < %s", escape(to))
	}
	switch {
	case end != "" && f.Newest:
		w.and("m.id >= %s", end)
	case end != "":
		w.and("m.id <= %s", end)
	}
}

// laneName is queue.Lane.String without the mailbox.
const laneName = "lane.connection || CASE lane.principal WHEN '' THEN '' ELSE '+' || lane.principal END"

// conditions returns the WHERE clause of a filter, without some of what it says of texts.
func conditions(f queue.Filter, by queue.Way) *where {
	w := &where{}
	w.ids(f, "")
	if len(f.States) > 0 {
		w.and("m.state = ANY(%s)", names(f.States))
	}
	if len(f.Reasons) > 0 {
		w.and("m.reason = ANY(%s)", names(f.Reasons))
	}
	if f.Lane != "" {
		w.and("%s IN ("+laneName+", "+laneName+" || '/' || lane.mailbox)", escape(f.Lane))
	}
	if f.HasContent {
		w.and("m.body")
	}
	if !f.Since.IsZero() {
		w.and("m.received >= %s", micros(f.Since))
	}
	if !f.Before.IsZero() {
		w.and("m.received < %s", micros(f.Before))
	}
	switch {
	case f.MessageID != "" && by == queue.ByMessageID:
		w.and("m.id IN (SELECT id FROM message WHERE message_id = %s AND state IN ('sent', 'returned')"+
			" UNION ALL SELECT id FROM message WHERE message_id = %s AND state = ANY(%s))", escape(f.MessageID), escape(f.MessageID), names(queue.NotLeft()))
	case f.MessageID != "":
		w.and("m.message_id = %s", escape(f.MessageID))
	}
	w.has(f.From, "m.mail_from")
	w.has(f.User, `m."user"`)
	w.has(f.Client, "m.client")
	w.has(f.Subject, "m.subject")
	w.has(f.To, "m.recipients")
	w.has(f.Text, "m.id || ' ' || m.message_id || ' ' || m.mail_from || ' ' || m.header_from || ' ' || m.subject || ' ' || m.recipients")
	return w
}

// folded is an expression in lower case as text.Fold's, as far as that is ASCII. The collation
// "C" knows ASCII letters alone; two other characters fold to one.
const folded = `translate(lower((%s) COLLATE "C"), 'Kſ', 'ks')`

// has adds a condition that all messages meet which contain the part in the expression, in which
// recipients are written as JSON. Others may meet it too.
func (w *where) has(part, expression string) {
	part = text.Fold(part)
	quoted, _ := json.Marshal(part) // a text
	inJSON := string(quoted[1 : len(quoted)-1])
	switch {
	case part == "":
	case !text.IsASCII(part) || !plainText(part):
		w.and("(octet_length(" + expression + ") <> char_length(" + expression + ") OR strpos(" + expression + ", E'\\x1a') > 0)")
	case inJSON == part:
		w.and("strpos("+fmt.Sprintf(folded, expression)+", %s) > 0", part)
	default:
		w.and("(strpos("+fmt.Sprintf(folded, expression)+", %s) > 0 OR strpos("+fmt.Sprintf(folded, expression)+", %s) > 0)", part, inJSON)
	}
}
