-- Schema 3: non-delivery reports. A sent message becomes 'returned' when one comes.

ALTER TABLE message ADD COLUMN returns TEXT NOT NULL DEFAULT ''; -- JSON array, empty for none
ALTER TABLE lane ADD COLUMN reports_read INTEGER NOT NULL DEFAULT 0; -- reports that came before then were read
CREATE INDEX message_sent ON message(message_id, lane) WHERE state IN ('sent', 'returned');
