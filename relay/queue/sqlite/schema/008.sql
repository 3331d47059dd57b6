-- Schema 8: lanes that are ready come in the order of their turns from one index, so that a
-- claim reads as many as it takes from, and no others.

DROP INDEX lane_ready;
ALTER TABLE lane ADD COLUMN turn INTEGER NOT NULL GENERATED ALWAYS AS ( -- since when it waits for a claim; in future: nothing is ready
	CASE WHEN max(due, paused) > 1 THEN max(due, paused) ELSE max(served, 1) END) VIRTUAL;
ALTER TABLE lane DROP COLUMN ready;
CREATE INDEX lane_turn ON lane(turn);
