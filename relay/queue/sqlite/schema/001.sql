-- Schema 1. Do not change this file: databases of that version exist.
--
-- Times are Unix microseconds, 0 for none. A body of up to 128 KiB, or of a message of
-- the relay's own, is a row of body, a larger one the file bodies/ID; message.body says
-- which.
CREATE TABLE lane (
	id         INTEGER PRIMARY KEY,
	connection TEXT NOT NULL,
	mailbox    TEXT NOT NULL,
	served     INTEGER NOT NULL DEFAULT 0, -- when it was last claimed from: lanes take turns
	retries    INTEGER NOT NULL DEFAULT 0, -- what is claimed next: 0 new mail, 1 deferred
	turn       INTEGER NOT NULL DEFAULT 0, -- the highest turn of a message that was claimed
	UNIQUE (connection, mailbox)
);
CREATE TABLE message (
	id            TEXT PRIMARY KEY,
	received      INTEGER NOT NULL,
	size          INTEGER NOT NULL,
	sum           INTEGER NOT NULL, -- of content and envelope, see seal
	body          INTEGER NOT NULL, -- 0 none, 1 row, 2 file
	lane          INTEGER NOT NULL REFERENCES lane(id),
	mail_from     TEXT NOT NULL,
	recipients    TEXT NOT NULL,    -- JSON array
	utf8          INTEGER NOT NULL,
	dsn           TEXT NOT NULL,    -- JSON, empty for none
	header_from   TEXT NOT NULL,
	sender        TEXT NOT NULL,
	reply_to      TEXT NOT NULL,
	signature     TEXT NOT NULL,    -- its name, empty for none
	subject       TEXT NOT NULL,
	message_id    TEXT NOT NULL,
	listener      TEXT NOT NULL,
	user          TEXT NOT NULL,
	client        TEXT NOT NULL,
	trace         INTEGER NOT NULL,
	state         TEXT NOT NULL,
	due           INTEGER NOT NULL, -- a queued message is due at once
	turn          INTEGER NOT NULL, -- the order among the queued ones of its lane
	reason        TEXT NOT NULL DEFAULT '',
	detail        TEXT NOT NULL DEFAULT '',
	attempts      INTEGER NOT NULL DEFAULT 0,
	warned        INTEGER NOT NULL DEFAULT 0,
	owner         TEXT NOT NULL DEFAULT '',
	fence         INTEGER NOT NULL DEFAULT 0,
	finished      INTEGER NOT NULL DEFAULT 0,
	path          TEXT NOT NULL DEFAULT '',
	draft_wanted  INTEGER NOT NULL DEFAULT 0,
	draft_id      TEXT NOT NULL DEFAULT '',
	stray         INTEGER NOT NULL DEFAULT 0,
	attached      INTEGER NOT NULL DEFAULT 0,
	upload_url    TEXT NOT NULL DEFAULT '',
	upload_offset INTEGER NOT NULL DEFAULT 0,
	send_wanted   INTEGER NOT NULL DEFAULT 0,
	settle        INTEGER NOT NULL DEFAULT 0,
	accepted      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX message_new ON message(lane, turn) WHERE state = 'queued';
CREATE INDEX message_retry ON message(lane, due) WHERE state = 'deferred';
CREATE INDEX message_delivering ON message(lane) WHERE state = 'delivering';
CREATE INDEX message_state ON message(state, received, size);
CREATE TABLE turn (
	lane   INTEGER NOT NULL REFERENCES lane(id),
	source TEXT NOT NULL,    -- a client, or one of its senders
	last   INTEGER NOT NULL, -- the turn of its latest message
	PRIMARY KEY (lane, source)
) WITHOUT ROWID;
CREATE TABLE body (
	id   TEXT PRIMARY KEY,
	data BLOB NOT NULL
);
CREATE TABLE event (
	id         TEXT NOT NULL,
	seq        INTEGER NOT NULL,
	at         INTEGER NOT NULL,
	what       TEXT NOT NULL,
	detail     TEXT NOT NULL,
	request_id TEXT NOT NULL,
	PRIMARY KEY (id, seq)
) WITHOUT ROWID;
CREATE TABLE pause (
	connection TEXT NOT NULL,
	mailbox    TEXT NOT NULL, -- empty: the whole connection
	until      INTEGER NOT NULL,
	reason     TEXT NOT NULL,
	PRIMARY KEY (connection, mailbox)
) WITHOUT ROWID;
CREATE TABLE orphan (
	id     TEXT PRIMARY KEY,
	since  INTEGER NOT NULL,
	record TEXT NOT NULL -- queue.Record as JSON
) WITHOUT ROWID;
CREATE TABLE node (
	name  TEXT PRIMARY KEY,
	lease INTEGER NOT NULL
) WITHOUT ROWID;
