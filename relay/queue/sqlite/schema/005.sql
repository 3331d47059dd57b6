-- Schema 5: what operators did. A message may also be 'deleted', which only its record shows.

CREATE TABLE audit (
	id      TEXT PRIMARY KEY, -- sorts by time
	at      INTEGER NOT NULL, -- by the wall clock
	by      TEXT NOT NULL,
	action  TEXT NOT NULL,
	object  TEXT NOT NULL,    -- the messages, lanes or filters that were named
	changed INTEGER NOT NULL  -- how many were changed
) STRICT, WITHOUT ROWID;
