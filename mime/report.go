package mime

// maxNotes bounds a report. One last note replaces those that exceed it.
const maxNotes = 200

// The values of Note.Kind.
const (
	noteDropped  = "dropped"
	noteMapped   = "mapped"
	noteSalvaged = "salvaged"
	noteLimit    = "limit"
)

// reporter collects the notes of one message.
type reporter struct{ notes []Note }

func (r *reporter) add(kind, what, detail string) {
	switch {
	case len(r.notes) < maxNotes:
		r.notes = append(r.notes, Note{kind, what, detail})
	case len(r.notes) == maxNotes:
		r.notes = append(r.notes, Note{noteLimit, "report", "more notes left out"})
	}
}

func (r *reporter) dropped(what, detail string)  { r.add(noteDropped, what, detail) }
func (r *reporter) mapped(what, detail string)   { r.add(noteMapped, what, detail) }
func (r *reporter) salvaged(what, detail string) { r.add(noteSalvaged, what, detail) }
func (r *reporter) limit(what, detail string)    { r.add(noteLimit, what, detail) }
