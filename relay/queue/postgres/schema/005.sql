-- compatible: 1
--
-- Schema 5: finds the messages that have left and whose content is kept, returned ones first.

CREATE INDEX message_kept ON message (state, arrived DESC) INCLUDE (size, due) WHERE body AND state IN ('sent', 'returned');
