-- Schema 2: a lane's principal is a column. A message's progress is a document of the
-- deliverer's, and beside it the two facts that the queue needs. Names follow the code.

CREATE TABLE new_lane (
	id           INTEGER PRIMARY KEY,
	connection   TEXT NOT NULL,
	principal    TEXT NOT NULL, -- whose own credential is used; empty: the connection's
	mailbox      TEXT NOT NULL,
	served       INTEGER NOT NULL DEFAULT 0, -- when it was last claimed from: lanes take turns
	retries      INTEGER NOT NULL DEFAULT 0, -- what is claimed next: 0 new mail, 1 deferred
	virtual_time INTEGER NOT NULL DEFAULT 0, -- the highest start tag of a claimed message
	UNIQUE (connection, principal, mailbox)
);
INSERT INTO new_lane
	SELECT id, substr(connection, 1, instr(connection || '+', '+') - 1),
		substr(connection, instr(connection || '+', '+') + 1), mailbox, served, retries, turn
	FROM lane;
DROP TABLE lane;
ALTER TABLE new_lane RENAME TO lane;

CREATE TABLE new_message (
	id          TEXT PRIMARY KEY,
	received    INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	sum         INTEGER NOT NULL, -- CRC-32C of content and envelope
	body        INTEGER NOT NULL, -- 0 none, 1 row, 2 file
	lane        INTEGER NOT NULL REFERENCES lane(id),
	mail_from   TEXT NOT NULL,
	recipients  TEXT NOT NULL,    -- JSON array
	utf8        INTEGER NOT NULL,
	dsn         TEXT NOT NULL,    -- JSON, empty for none
	header_from TEXT NOT NULL,
	sender      TEXT NOT NULL,
	reply_to    TEXT NOT NULL,
	signature   TEXT NOT NULL,    -- its name, empty for none
	subject     TEXT NOT NULL,
	message_id  TEXT NOT NULL,
	listener    TEXT NOT NULL,
	user        TEXT NOT NULL,
	client      TEXT NOT NULL,
	trace       INTEGER NOT NULL,
	state       TEXT NOT NULL,
	due         INTEGER NOT NULL, -- a queued message is due at once
	start_tag   INTEGER NOT NULL, -- the order among the queued messages of its lane
	reason      TEXT NOT NULL DEFAULT '',
	detail      TEXT NOT NULL DEFAULT '',
	attempts    INTEGER NOT NULL DEFAULT 0,
	warned      INTEGER NOT NULL DEFAULT 0,
	owner       TEXT NOT NULL DEFAULT '',
	fence       INTEGER NOT NULL DEFAULT 0,
	finished    INTEGER NOT NULL DEFAULT 0,
	document    TEXT NOT NULL DEFAULT '',   -- the deliverer's progress, JSON
	leftover    INTEGER NOT NULL DEFAULT 0, -- something may be left outside
	in_doubt    INTEGER NOT NULL DEFAULT 0  -- it may have been sent
) WITHOUT ROWID;
INSERT INTO new_message
	SELECT id, received, size, sum, body, lane, mail_from, recipients, utf8, dsn,
		header_from, sender, reply_to, signature, subject, message_id, listener, user, client, trace,
		state, due, turn, reason, detail, attempts, warned, owner, fence, finished,
		-- a merge patch leaves out what is null
		replace(json_patch('{}', json_object(
			'path', nullif(path, ''),
			'draft_wanted', CASE WHEN draft_wanted THEN json('true') END,
			'draft_id', nullif(draft_id, ''),
			'late_draft', CASE WHEN stray THEN json('true') END,
			'attached', nullif(attached, 0),
			'upload_url', nullif(upload_url, ''),
			'upload_offset', nullif(upload_offset, 0),
			'send', CASE WHEN accepted THEN 'accepted' WHEN NOT send_wanted THEN NULL WHEN settle > send_wanted THEN 'requested' ELSE 'refused' END,
			'send_wanted', CASE WHEN send_wanted THEN
				strftime('%Y-%m-%dT%H:%M:%S', send_wanted / 1000000, 'unixepoch') || printf('.%06dZ', send_wanted % 1000000) END,
			'settle', CASE WHEN settle THEN
				strftime('%Y-%m-%dT%H:%M:%S', settle / 1000000, 'unixepoch') || printf('.%06dZ', settle % 1000000) END)), '{}', ''),
		draft_wanted OR stray, accepted OR settle > send_wanted
	FROM message;
DROP TABLE message;
ALTER TABLE new_message RENAME TO message;
CREATE INDEX message_new ON message(lane, start_tag) WHERE state = 'queued';
CREATE INDEX message_retry ON message(lane, due) WHERE state = 'deferred';
CREATE INDEX message_delivering ON message(lane) WHERE state = 'delivering';
CREATE INDEX message_state ON message(state, received, size);

-- For each client and each of its senders, the start tag of its latest message.
ALTER TABLE turn RENAME TO flow;
ALTER TABLE flow RENAME COLUMN last TO start_tag;

CREATE TABLE new_pause (
	connection TEXT NOT NULL,
	principal  TEXT NOT NULL,
	mailbox    TEXT NOT NULL, -- empty: all mailboxes of the connection, or of the principal
	until      INTEGER NOT NULL,
	reason     TEXT NOT NULL,
	PRIMARY KEY (connection, principal, mailbox)
) WITHOUT ROWID;
INSERT INTO new_pause
	SELECT substr(connection, 1, instr(connection || '+', '+') - 1),
		substr(connection, instr(connection || '+', '+') + 1), mailbox, until, reason
	FROM pause;
DROP TABLE pause;
ALTER TABLE new_pause RENAME TO pause;

CREATE TABLE cleanup (
	id     TEXT PRIMARY KEY,
	since  INTEGER NOT NULL,
	record TEXT NOT NULL -- queue.Record as JSON
) WITHOUT ROWID;
INSERT INTO cleanup
	SELECT id, since, json_set(record,
		'$.Lane', json_object(
			'connection', substr(record ->> '$.Lane.connection', 1, instr((record ->> '$.Lane.connection') || '+', '+') - 1),
			'principal', substr(record ->> '$.Lane.connection', instr((record ->> '$.Lane.connection') || '+', '+') + 1),
			'mailbox', record ->> '$.Lane.mailbox'),
		'$.Progress', json_object(
			'Document', json_patch('{}', json_object(
				'path', nullif(record ->> '$.Progress.Path', ''),
				'draft_wanted', CASE WHEN record ->> '$.Progress.DraftWanted' THEN json('true') END,
				'draft_id', nullif(record ->> '$.Progress.DraftID', ''),
				'late_draft', CASE WHEN record ->> '$.Progress.Stray' THEN json('true') END,
				'attached', nullif(record ->> '$.Progress.Attached', 0),
				'upload_url', nullif(record ->> '$.Progress.UploadURL', ''),
				'upload_offset', nullif(record ->> '$.Progress.UploadOffset', 0),
				'send', CASE WHEN record ->> '$.Progress.Accepted' THEN 'accepted'
					WHEN record ->> '$.Progress.SendWanted' = '0001-01-01T00:00:00Z' THEN NULL
					WHEN julianday(record ->> '$.Progress.Settle') > julianday(record ->> '$.Progress.SendWanted') THEN 'requested'
					ELSE 'refused' END,
				'send_wanted', nullif(record ->> '$.Progress.SendWanted', '0001-01-01T00:00:00Z'),
				'settle', nullif(record ->> '$.Progress.Settle', '0001-01-01T00:00:00Z'))),
			'Leftover', json('true'), 'InDoubt', json('false')))
	FROM orphan;
DROP TABLE orphan;
