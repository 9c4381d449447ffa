INSERT INTO app.resources SELECT i, i % 7, 'r' || i % 40 FROM generate_series(1, 300) i;
INSERT INTO app.connections (org, resource, kind) SELECT r.org, r.name, (ARRAY['database', 'application'])[1 + length(r.name) % 2]::app.kind FROM app.resources r, generate_series(1, 2) WHERE r.id % 3 > 0;
INSERT INTO app.users SELECT md5(i::text)::uuid, i % 7, '2024-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 60) i;
INSERT INTO app.workflows SELECT i, i % 8 FROM generate_series(1, 200) i;
