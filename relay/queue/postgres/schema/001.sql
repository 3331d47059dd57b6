-- compatible: 1
--
-- Schema 1. Times are Unix microseconds, 0 for none: by the queue's clock (queue.Clock),
-- except received, finished, event.at and audit.at, which are wall time. Texts are as escape
-- in text.go writes them; they compare and sort by their bytes.

CREATE TABLE lane (
	id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	connection   TEXT COLLATE "C" NOT NULL,
	principal    TEXT COLLATE "C" NOT NULL, -- whose own credential is used; empty: the connection's
	mailbox      TEXT COLLATE "C" NOT NULL,
	served       BIGINT NOT NULL DEFAULT 0, -- when it was last claimed from: lanes take turns
	retries      BOOLEAN NOT NULL DEFAULT false, -- a deferred message is claimed next
	virtual_time BIGINT NOT NULL DEFAULT 0, -- the highest start tag of a claimed message
	reports_read BIGINT NOT NULL DEFAULT 0, -- reports that came before then were read
	-- When its first message is due, 1 if one is queued. It may be too early, which the next
	-- claim mends, and is never too late (see due.go).
	due          BIGINT NOT NULL DEFAULT 9223372036854775807,
	paused       BIGINT NOT NULL DEFAULT 0, -- the end of the last of its pauses
	ready        BIGINT NOT NULL GENERATED ALWAYS AS (greatest(due, paused)) STORED,
	owner        TEXT COLLATE "C" NOT NULL DEFAULT '', -- the node that works on it
	epoch        BIGINT NOT NULL DEFAULT 0, -- counts up with each change of owner
	carry        TEXT NOT NULL DEFAULT '',  -- what its owner has spent of the mailbox's limits
	UNIQUE (connection, principal, mailbox)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
CREATE INDEX lane_ready ON lane (owner, ready, served);
CREATE INDEX lane_served ON lane (served);

CREATE TABLE message (
	id          TEXT COLLATE "C" PRIMARY KEY,
	received    BIGINT NOT NULL, -- by the wall clock
	arrived     BIGINT NOT NULL, -- by the queue's clock
	size        BIGINT NOT NULL,
	sum         BIGINT NOT NULL, -- CRC-32C of content and envelope, see queue.Seal
	body        BOOLEAN NOT NULL, -- the content is there
	lane        BIGINT NOT NULL REFERENCES lane (id),
	mail_from   TEXT COLLATE "C" NOT NULL,
	recipients  TEXT COLLATE "C" NOT NULL, -- JSON array
	utf8        BOOLEAN NOT NULL,
	dsn         TEXT COLLATE "C" NOT NULL, -- JSON, empty for none
	header_from TEXT COLLATE "C" NOT NULL,
	sender      TEXT COLLATE "C" NOT NULL,
	reply_to    TEXT COLLATE "C" NOT NULL,
	fallback    TEXT COLLATE "C" NOT NULL, -- the address in From where Exchange refuses header_from, empty for none
	signature   TEXT COLLATE "C" NOT NULL, -- its name, empty for none
	subject     TEXT COLLATE "C" NOT NULL,
	message_id  TEXT COLLATE "C" NOT NULL,
	listener    TEXT COLLATE "C" NOT NULL,
	"user"      TEXT COLLATE "C" NOT NULL,
	client      TEXT COLLATE "C" NOT NULL,
	trace       BIGINT NOT NULL,
	state       TEXT COLLATE "C" NOT NULL,
	due         BIGINT NOT NULL, -- a queued message is due at once; of one that has ended: when it did
	start_tag   BIGINT NOT NULL, -- the order among the queued messages of its lane
	reason      TEXT COLLATE "C" NOT NULL DEFAULT '',
	detail      TEXT COLLATE "C" NOT NULL DEFAULT '',
	attempts    INTEGER NOT NULL DEFAULT 0,
	warned      BOOLEAN NOT NULL DEFAULT false,
	owner       TEXT COLLATE "C" NOT NULL DEFAULT '', -- the node that has claimed it
	fence       BIGINT NOT NULL DEFAULT 0,
	finished    BIGINT NOT NULL DEFAULT 0, -- by the wall clock
	document    TEXT COLLATE "C" NOT NULL DEFAULT '', -- the deliverer's progress, JSON
	leftover    BOOLEAN NOT NULL DEFAULT false, -- something may be left outside
	in_doubt    BOOLEAN NOT NULL DEFAULT false, -- it may have been sent
	returns     TEXT COLLATE "C" NOT NULL DEFAULT '' -- JSON array, empty for none
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
	autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX message_lane ON message (lane, state, start_tag, id);
CREATE INDEX message_deferred ON message (lane, due) WHERE state = 'deferred';
CREATE INDEX message_state ON message (state, arrived) INCLUDE (size);
CREATE INDEX message_sent ON message (message_id, lane) WHERE state IN ('sent', 'returned');

-- The content of a message, in rows of 64 KiB. It is not compressed: the bytes of mail hardly
-- can be.
CREATE TABLE body (
	id   TEXT COLLATE "C" NOT NULL,
	seq  INTEGER NOT NULL,
	data BYTEA NOT NULL,
	PRIMARY KEY (id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
	toast.autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_threshold = 10000);
ALTER TABLE body ALTER COLUMN data SET STORAGE EXTERNAL;

-- Large contents that no message has: at is when they began to be written, with so many rows by
-- now, or 0 if their message no longer needs them.
CREATE TABLE upload (
	id   TEXT COLLATE "C" PRIMARY KEY,
	at   BIGINT NOT NULL,
	rows INTEGER NOT NULL
);

-- Messages from clients whose node does not know yet that they were committed. They are not
-- claimed. The node removes the row when it knows, or the message when its client was
-- refused it.
CREATE TABLE arriving (
	id   TEXT COLLATE "C" PRIMARY KEY,
	node TEXT COLLATE "C" NOT NULL,
	lane BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE event (
	id         TEXT COLLATE "C" NOT NULL,
	seq        INTEGER NOT NULL,
	at         BIGINT NOT NULL, -- by the wall clock
	what       TEXT COLLATE "C" NOT NULL,
	detail     TEXT COLLATE "C" NOT NULL,
	request_id TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (id, seq)
);

CREATE TABLE flow (
	lane      BIGINT NOT NULL REFERENCES lane (id) ON DELETE CASCADE,
	source    TEXT COLLATE "C" NOT NULL, -- a client, or one of its senders
	start_tag BIGINT NOT NULL, -- of its latest message
	PRIMARY KEY (lane, source)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE TABLE pause (
	connection TEXT COLLATE "C" NOT NULL,
	principal  TEXT COLLATE "C" NOT NULL,
	mailbox    TEXT COLLATE "C" NOT NULL, -- empty: all mailboxes of the connection, or of the principal
	until      BIGINT NOT NULL,
	reason     TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (connection, principal, mailbox)
);

CREATE TABLE cleanup (
	id     TEXT COLLATE "C" PRIMARY KEY,
	since  BIGINT NOT NULL,
	record TEXT COLLATE "C" NOT NULL -- queue.Record as JSON
);

CREATE TABLE node (
	id       TEXT COLLATE "C" PRIMARY KEY, -- of the process; message.owner and lane.owner name it
	name     TEXT COLLATE "C" NOT NULL,    -- of the relay
	lease    BIGINT NOT NULL,
	seen     BIGINT NOT NULL,
	draining BOOLEAN NOT NULL DEFAULT false,
	about    TEXT COLLATE "C" NOT NULL     -- JSON
) WITH (fillfactor = 50);

-- What operators did.
CREATE TABLE audit (
	id      TEXT COLLATE "C" PRIMARY KEY, -- sorts by time
	at      BIGINT NOT NULL, -- by the wall clock
	by      TEXT COLLATE "C" NOT NULL,
	action  TEXT COLLATE "C" NOT NULL,
	object  TEXT COLLATE "C" NOT NULL, -- the messages, lanes or filters that were named
	changed BIGINT NOT NULL -- how many were changed
);

-- What the queue's clock showed at the last renewal of a lease.
CREATE TABLE clock (
	id    INTEGER PRIMARY KEY CHECK (id = 1),
	queue BIGINT NOT NULL
);

-- The number of the last transaction of each writer of each process. It tells afterwards
-- whether a transaction was committed whose answer was lost (see unknown.go).
CREATE TABLE writer (
	id   TEXT COLLATE "C" PRIMARY KEY,
	seq  BIGINT NOT NULL,
	void BOOLEAN NOT NULL, -- it was not committed, and cannot be any more
	at   BIGINT NOT NULL
) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Whether the queue is being moved, or has been, to another database.
CREATE TABLE closed (
	id   INTEGER PRIMARY KEY CHECK (id = 1),
	text TEXT COLLATE "C" NOT NULL -- queue.Closed as JSON
);
