-- Schema 4: tables are STRICT, so that no column takes a value of another type. A lane knows
-- when it has something to claim, so that a claim reads no other lane, and goes when it has
-- no messages left. The queue has a time of its own (queue.Clock); received, finished and
-- event.at stay in wall time. The checksum covers all that decides what is sent, to whom and
-- as whom. The bodies are not copied, since they may be 20 GiB.

CREATE TABLE new_lane (
	id           INTEGER PRIMARY KEY,
	connection   TEXT NOT NULL,
	principal    TEXT NOT NULL, -- whose own credential is used; empty: the connection's
	mailbox      TEXT NOT NULL,
	served       INTEGER NOT NULL DEFAULT 0, -- when it was last claimed from: lanes take turns
	retries      INTEGER NOT NULL DEFAULT 0, -- what is claimed next: 0 new mail, 1 deferred
	virtual_time INTEGER NOT NULL DEFAULT 0, -- the highest start tag of a claimed message
	reports_read INTEGER NOT NULL DEFAULT 0, -- reports that came before then were read
	due          INTEGER NOT NULL DEFAULT 9223372036854775807, -- of its first message; 1 if one is queued
	paused       INTEGER NOT NULL DEFAULT 0, -- the end of the last of its pauses
	ready        INTEGER NOT NULL GENERATED ALWAYS AS (max(due, paused)) VIRTUAL,
	UNIQUE (connection, principal, mailbox)
) STRICT;
INSERT INTO new_lane (id, connection, principal, mailbox, served, retries, virtual_time, reports_read)
	SELECT id, CAST(connection AS TEXT), CAST(principal AS TEXT), CAST(mailbox AS TEXT),
		CAST(served AS INTEGER), CAST(retries AS INTEGER), CAST(virtual_time AS INTEGER), CAST(reports_read AS INTEGER)
	FROM lane;
DROP TABLE lane;
ALTER TABLE new_lane RENAME TO lane;
CREATE INDEX lane_ready ON lane(ready);

CREATE TABLE new_message (
	id          TEXT PRIMARY KEY,
	received    INTEGER NOT NULL, -- by the wall clock
	arrived     INTEGER NOT NULL, -- by the queue's clock
	size        INTEGER NOT NULL,
	sum         INTEGER NOT NULL, -- CRC-32C of content and envelope, see seal
	body        INTEGER NOT NULL, -- 0 none, 1 row, 2 file
	lane        INTEGER NOT NULL REFERENCES lane(id),
	mail_from   TEXT NOT NULL,
	recipients  TEXT NOT NULL,    -- JSON array
	utf8        INTEGER NOT NULL,
	dsn         TEXT NOT NULL,    -- JSON, empty for none
	header_from TEXT NOT NULL,
	sender      TEXT NOT NULL,
	reply_to    TEXT NOT NULL,
	fallback    TEXT NOT NULL DEFAULT '', -- the address in From where Exchange refuses header_from, empty for none
	signature   TEXT NOT NULL,    -- its name, empty for none
	subject     TEXT NOT NULL,
	message_id  TEXT NOT NULL,
	listener    TEXT NOT NULL,
	user        TEXT NOT NULL,
	client      TEXT NOT NULL,
	trace       INTEGER NOT NULL,
	state       TEXT NOT NULL,
	due         INTEGER NOT NULL, -- a queued message is due at once; of one that has ended: when it did
	start_tag   INTEGER NOT NULL, -- the order among the queued messages of its lane
	reason      TEXT NOT NULL DEFAULT '',
	detail      TEXT NOT NULL DEFAULT '',
	attempts    INTEGER NOT NULL DEFAULT 0,
	warned      INTEGER NOT NULL DEFAULT 0,
	owner       TEXT NOT NULL DEFAULT '',
	fence       INTEGER NOT NULL DEFAULT 0,
	finished    INTEGER NOT NULL DEFAULT 0, -- by the wall clock
	document    TEXT NOT NULL DEFAULT '',   -- the deliverer's progress, JSON
	leftover    INTEGER NOT NULL DEFAULT 0, -- something may be left outside
	in_doubt    INTEGER NOT NULL DEFAULT 0, -- it may have been sent
	returns     TEXT NOT NULL DEFAULT ''    -- JSON array, empty for none
) STRICT, WITHOUT ROWID;
INSERT INTO new_message
	SELECT CAST(id AS TEXT), CAST(received AS INTEGER), CAST(received AS INTEGER), CAST(size AS INTEGER), CAST(sum AS INTEGER), CAST(body AS INTEGER),
		CAST(lane AS INTEGER), CAST(mail_from AS TEXT), CAST(recipients AS TEXT), CAST(utf8 AS INTEGER), CAST(dsn AS TEXT),
		CAST(header_from AS TEXT), CAST(sender AS TEXT), CAST(reply_to AS TEXT), '', CAST(signature AS TEXT), CAST(subject AS TEXT),
		CAST(message_id AS TEXT), CAST(listener AS TEXT), CAST(user AS TEXT), CAST(client AS TEXT), CAST(trace AS INTEGER),
		iif(readable OR state IN ('sent', 'returned', 'failed'), state, 'held'),
		CAST(iif(state IN ('sent', 'returned', 'failed'), finished, due) AS INTEGER), CAST(start_tag AS INTEGER),
		iif(readable, reason, 'storage'), iif(readable, detail, 'a number of its record cannot be read'),
		CAST(attempts AS INTEGER), CAST(warned AS INTEGER), CAST(owner AS TEXT), CAST(fence AS INTEGER), CAST(finished AS INTEGER),
		CAST(document AS TEXT), CAST(leftover AS INTEGER), CAST(in_doubt AS INTEGER), CAST(returns AS TEXT)
	FROM (SELECT *, typeof(received) = 'integer' AND typeof(size) = 'integer' AND typeof(sum) = 'integer' AND typeof(body) = 'integer'
		AND typeof(lane) = 'integer' AND typeof(utf8) = 'integer' AND typeof(trace) = 'integer' AND typeof(due) = 'integer'
		AND typeof(start_tag) = 'integer' AND typeof(attempts) = 'integer' AND typeof(warned) = 'integer' AND typeof(fence) = 'integer'
		AND typeof(finished) = 'integer' AND typeof(leftover) = 'integer' AND typeof(in_doubt) = 'integer' AS readable FROM message);
DROP TABLE message;
ALTER TABLE new_message RENAME TO message;
CREATE INDEX message_lane ON message(lane, state, start_tag);
CREATE INDEX message_retry ON message(lane, due) WHERE state = 'deferred';
CREATE INDEX message_state ON message(state, arrived, size);
CREATE INDEX message_sent ON message(message_id, lane) WHERE state IN ('sent', 'returned');

CREATE TABLE new_flow (
	lane      INTEGER NOT NULL REFERENCES lane(id),
	source    TEXT NOT NULL,    -- a client, or one of its senders
	start_tag INTEGER NOT NULL, -- of its latest message
	PRIMARY KEY (lane, source)
) STRICT, WITHOUT ROWID;
INSERT INTO new_flow SELECT CAST(lane AS INTEGER), CAST(source AS TEXT), CAST(start_tag AS INTEGER) FROM flow;
DROP TABLE flow;
ALTER TABLE new_flow RENAME TO flow;

CREATE TABLE new_event (
	id         TEXT NOT NULL,
	seq        INTEGER NOT NULL,
	at         INTEGER NOT NULL, -- by the wall clock
	what       TEXT NOT NULL,
	detail     TEXT NOT NULL,
	request_id TEXT NOT NULL,
	PRIMARY KEY (id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO new_event
	SELECT CAST(id AS TEXT), CAST(seq AS INTEGER), CAST(at AS INTEGER), CAST(what AS TEXT), CAST(detail AS TEXT), CAST(request_id AS TEXT) FROM event;
DROP TABLE event;
ALTER TABLE new_event RENAME TO event;

CREATE TABLE new_pause (
	connection TEXT NOT NULL,
	principal  TEXT NOT NULL,
	mailbox    TEXT NOT NULL, -- empty: all mailboxes of the connection, or of the principal
	until      INTEGER NOT NULL,
	reason     TEXT NOT NULL,
	PRIMARY KEY (connection, principal, mailbox)
) STRICT, WITHOUT ROWID;
INSERT INTO new_pause
	SELECT CAST(connection AS TEXT), CAST(principal AS TEXT), CAST(mailbox AS TEXT), CAST(until AS INTEGER), CAST(reason AS TEXT) FROM pause;
DROP TABLE pause;
ALTER TABLE new_pause RENAME TO pause;

CREATE TABLE new_cleanup (
	id     TEXT PRIMARY KEY,
	since  INTEGER NOT NULL,
	record TEXT NOT NULL -- queue.Record as JSON
) STRICT, WITHOUT ROWID;
INSERT INTO new_cleanup SELECT CAST(id AS TEXT), CAST(since AS INTEGER), CAST(record AS TEXT) FROM cleanup;
DROP TABLE cleanup;
ALTER TABLE new_cleanup RENAME TO cleanup;

CREATE TABLE new_node (
	name  TEXT PRIMARY KEY,
	lease INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_node SELECT CAST(name AS TEXT), CAST(lease AS INTEGER) FROM node;
DROP TABLE node;
ALTER TABLE new_node RENAME TO node;

-- What the queue's clock and the wall clock showed at the last renewal of a lease.
CREATE TABLE clock (
	id    INTEGER PRIMARY KEY CHECK (id = 1),
	queue INTEGER NOT NULL,
	wall  INTEGER NOT NULL
) STRICT;

UPDATE lane SET
	due = iif(EXISTS (SELECT 1 FROM message WHERE lane = lane.id AND state = 'queued'), 1,
		coalesce((SELECT due FROM message WHERE lane = lane.id AND state = 'deferred' ORDER BY due LIMIT 1), 9223372036854775807)),
	paused = coalesce((SELECT max(until) FROM pause
		WHERE connection = lane.connection AND principal = lane.principal AND mailbox IN ('', lane.mailbox)), 0);
DELETE FROM lane WHERE NOT EXISTS (SELECT 1 FROM message WHERE lane = lane.id);
DELETE FROM flow WHERE lane NOT IN (SELECT id FROM lane);

CREATE TRIGGER message_queued AFTER INSERT ON message WHEN new.state = 'queued' BEGIN
	UPDATE lane SET due = 1 WHERE id = new.lane AND due != 1;
END;
CREATE TRIGGER message_moved AFTER UPDATE OF state, due ON message
WHEN (old.state IS NOT new.state OR old.due IS NOT new.due)
	AND (old.state IN ('queued', 'deferred') OR new.state IN ('queued', 'deferred')) BEGIN
	UPDATE lane SET due = iif(EXISTS (SELECT 1 FROM message WHERE lane = new.lane AND state = 'queued'), 1,
		coalesce((SELECT due FROM message WHERE lane = new.lane AND state = 'deferred' ORDER BY due LIMIT 1), 9223372036854775807))
	WHERE id = new.lane;
END;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
	DELETE FROM lane WHERE id = old.lane AND NOT EXISTS (SELECT 1 FROM message WHERE lane = old.lane);
	UPDATE lane SET due = iif(EXISTS (SELECT 1 FROM message WHERE lane = old.lane AND state = 'queued'), 1,
		coalesce((SELECT due FROM message WHERE lane = old.lane AND state = 'deferred' ORDER BY due LIMIT 1), 9223372036854775807))
	WHERE id = old.lane AND old.state IN ('queued', 'deferred');
END;
CREATE TRIGGER lane_removed AFTER DELETE ON lane BEGIN
	DELETE FROM flow WHERE lane = old.id;
END;
