ALTER TABLE app.runs ADD COLUMN node_id varchar(128);
UPDATE app.runs AS r
SET node_id = root.node_id
FROM (
	SELECT DISTINCT ON (run_id) run_id, node_id
	FROM app.events
	WHERE execution_id IS NULL AND node_id IS NOT NULL
	ORDER BY run_id, created_at ASC, id ASC
) AS root
WHERE r.id = root.run_id;
