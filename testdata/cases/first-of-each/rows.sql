INSERT INTO app.runs SELECT md5(i::text)::uuid, 'Run ' || i FROM generate_series(1, 60) i;
INSERT INTO app.events (run_id, execution_id, node_id, created_at)
	SELECT md5((i % 70)::text)::uuid, CASE WHEN i % 3 = 0 THEN i END, CASE WHEN i % 5 > 0 THEN 'node ' || i END, '2024-01-01'::timestamptz + (i * 7919 % 40) * interval '1 hour' FROM generate_series(1, 500) i;
INSERT INTO app.events (run_id, node_id, created_at) VALUES (NULL, 'of nobody', '2020-01-01');
INSERT INTO app.doors SELECT 'door ' || i, i FROM generate_series(1, 30) i;
INSERT INTO app.visits SELECT i, 'door ' || i % 33, 'Guest ' || i, '2024-01-01'::date + i, CASE WHEN i % 4 > 0 THEN 'n' || i END FROM generate_series(1, 200) i;
INSERT INTO app.devices SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 40) i;
INSERT INTO app.activations SELECT i, '2024-01-01'::timestamptz + i * interval '1 hour', decode(md5((i % 37)::text), 'hex'), decode(md5('a' || i), 'hex') FROM generate_series(1, 150) i;
