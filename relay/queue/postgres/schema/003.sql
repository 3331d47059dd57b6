-- compatible: 1
--
-- Schema 3: finds the deferred messages that are due too late, of which there hardly ever are any.

CREATE INDEX message_late ON message (due) WHERE state = 'deferred';
