DELETE FROM app.tags WHERE id IN (SELECT t.id FROM app.tags t LEFT JOIN app.names n ON n.name = t.name AND n.language = 'EN' WHERE n.name IS NULL AND t.id > 20);
UPDATE app.notes SET body = 'tagged' WHERE id IN (
	WITH tagged (nr, tag) AS (SELECT note, name FROM app.tags) SELECT x.nr FROM tagged x JOIN app.names m ON m.name = x.tag WHERE m.language = 'EN');
DO $$ BEGIN UPDATE app.names SET language = 'none' WHERE NOT EXISTS (SELECT FROM app.tags WHERE tags.name = names.name AND note > 90); END $$;
