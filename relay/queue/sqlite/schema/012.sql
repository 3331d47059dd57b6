-- Schema 12: how the client handed the message in.

ALTER TABLE message ADD COLUMN reception TEXT NOT NULL DEFAULT ''; -- queue.Reception.Text, empty for none
