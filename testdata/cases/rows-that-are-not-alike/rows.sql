INSERT INTO app.resources SELECT i, i % 7, 'r' || i % 40 FROM generate_series(1, 300) i;
INSERT INTO app.connections (org, resource, kind) SELECT r.org, r.name, (ARRAY['database', 'application'])[1 + length(r.name) % 2]::app.kind FROM app.resources r, generate_series(1, 2) WHERE r.id % 3 > 0;
INSERT INTO app.users SELECT md5(i::text)::uuid, i % 7, '2024-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 60) i;
INSERT INTO app.workflows SELECT i, i % 8 FROM generate_series(1, 200) i;
INSERT INTO app.connections (org, resource, kind) SELECT org, resource, 'custom' FROM app.connections WHERE id = 1;
UPDATE app.resources SET name = 'unlike' WHERE (org, name) IN (SELECT org, resource FROM app.connections WHERE id = 1);
INSERT INTO app.resources VALUES (1000, 1, 'two'), (1001, 1, 'one');
INSERT INTO app.connections (org, resource, kind) VALUES (1, 'two', 'custom'), (1, 'two', 'database');
