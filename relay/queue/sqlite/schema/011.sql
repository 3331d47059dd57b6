-- Schema 11: finds the messages that have left and whose content is kept, returned ones first.

CREATE INDEX message_kept ON message(state, arrived DESC, size, due, body) WHERE body != 0 AND state IN ('sent', 'returned');
