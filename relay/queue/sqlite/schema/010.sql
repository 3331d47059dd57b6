-- Schema 10: how long the request took that an event is about.

ALTER TABLE event ADD COLUMN took INTEGER NOT NULL DEFAULT 0; -- microseconds
