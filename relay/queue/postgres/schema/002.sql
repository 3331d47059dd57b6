-- compatible: 1
--
-- Schema 2: short texts that nodes leave for one another, see queue.Note.

CREATE TABLE note (
	scope   TEXT COLLATE "C" NOT NULL,
	key     TEXT COLLATE "C" NOT NULL,
	value   TEXT COLLATE "C" NOT NULL,
	expires BIGINT NOT NULL,
	PRIMARY KEY (scope, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
