ALTER TABLE app.lines ADD COLUMN IF NOT EXISTS snapshot int;
UPDATE app.lines l SET snapshot = (SELECT c.id FROM (
	(SELECT s.id, s.made FROM app.snapshots s JOIN app.templates t ON t.id = l.template WHERE s.part = l.part AND s.made <= t.day ORDER BY s.made DESC, s.id LIMIT 1)
	UNION
	(SELECT s.id, s.made FROM app.snapshots s JOIN app.templates t ON t.id = l.template WHERE s.part = l.part AND s.made > t.day ORDER BY s.made, s.id LIMIT 1)) AS c
	ORDER BY c.made, c.id LIMIT 1);
DELETE FROM app.lines WHERE snapshot IS NULL;
ALTER TABLE app.lines ALTER COLUMN snapshot SET NOT NULL;
ALTER TABLE app.lines DROP CONSTRAINT IF EXISTS lines_snapshot_fkey,
	ADD CONSTRAINT lines_snapshot_fkey FOREIGN KEY (snapshot) REFERENCES app.snapshots (id) ON DELETE RESTRICT;
