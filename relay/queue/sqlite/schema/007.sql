-- Schema 7: whether the queue is being moved, or has been, to another database.

CREATE TABLE closed (
	id   INTEGER PRIMARY KEY CHECK (id = 1),
	text TEXT NOT NULL -- queue.Closed as JSON
) STRICT;
