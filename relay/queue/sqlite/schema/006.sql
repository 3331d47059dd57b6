-- Schema 6: what a node tells of itself. Those of earlier processes are dead.

DROP TABLE node;
CREATE TABLE node (
	id       TEXT PRIMARY KEY, -- of the process; message.owner names it
	name     TEXT NOT NULL,    -- of the relay
	lease    INTEGER NOT NULL,
	seen     INTEGER NOT NULL,
	draining INTEGER NOT NULL DEFAULT 0,
	about    TEXT NOT NULL     -- JSON
) STRICT, WITHOUT ROWID;
