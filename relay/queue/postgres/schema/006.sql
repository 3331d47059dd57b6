-- compatible: 1
--
-- Schema 6: how the client handed the message in.

ALTER TABLE message ADD COLUMN reception TEXT COLLATE "C" NOT NULL DEFAULT ''; -- queue.Reception.Text, empty for none
