package queue

import (
	"testing"
	"time"
)

// The bounds of IDs keep all that the filter selects, and what was received long before or after
// out.
func TestIDs(t *testing.T) {
	at := time.Date(2026, 11, 29, 14, 0, 0, 0, time.UTC)
	in := func(f Filter, id string) bool {
		from, to := f.IDs()
		return id >= from && (to == "" || id < to)
	}
	id, later := NewID(at), NewID(at.Add(time.Minute))
	for name, c := range map[string]struct {
		f    Filter
		id   string
		want bool
	}{
		"everything":           {Filter{}, id, true},
		"since":                {Filter{Since: at}, id, true},
		"begun before since":   {Filter{Since: at.Add(time.Hour)}, id, true},
		"long before since":    {Filter{Since: at.Add(3 * time.Hour)}, id, false},
		"before":               {Filter{Before: at.Add(time.Millisecond)}, id, true},
		"long after before":    {Filter{Before: at.Add(-3 * time.Hour)}, id, false},
		"since before 1970":    {Filter{Since: time.Unix(-1, 0)}, id, true},
		"before the end":       {Filter{Before: Forever}, id, true},
		"the ID":               {Filter{ID: id}, id, true},
		"another ID":           {Filter{ID: id}, later, false},
		"its beginning":        {Filter{ID: id[:5]}, id, true},
		"in capitals":          {Filter{ID: "06RQ"}, "06rq2p8k1v4t9x3m", true},
		"after itself":         {Filter{After: id}, id, false},
		"after":                {Filter{After: id}, later, true},
		"newest, after itself": {Filter{After: id, Newest: true}, id, false},
		"newest, after":        {Filter{After: id, Newest: true}, later, false},
		"newest, before":       {Filter{After: later, Newest: true}, id, true},
	} {
		if got := in(c.f, c.id); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := IDTime(id); !got.Equal(at) {
		t.Errorf("the ID was given at %v", got)
	}
	for _, bad := range []string{"", "nonsense", "UUUUUUUUUUUUUUUU"} {
		if got := IDTime(bad); !got.IsZero() {
			t.Errorf("%q was given at %v", bad, got)
		}
	}
}
