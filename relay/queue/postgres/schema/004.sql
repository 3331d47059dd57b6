-- compatible: 1
--
-- Schema 4: how long the request took that an event is about.

ALTER TABLE event ADD COLUMN took BIGINT NOT NULL DEFAULT 0; -- microseconds
