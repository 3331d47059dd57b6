-- Schema 9: who inserts a queued message sets the lane's due time itself (transaction.setQueued),
-- once for many messages of a commit.

DROP TRIGGER message_queued;
