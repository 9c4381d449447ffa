INSERT INTO app.snaps (id, repo, made, org, kind) SELECT n, 3, '2025-01-01', n % 3, 'full' FROM generate_series(301, 330) n;
UPDATE app.snaps SET repo = 5, path = 'moved' WHERE id % 9 = 0;
DELETE FROM app.configs WHERE id IN (7, 101);
UPDATE app.configs SET name = 'd' || id WHERE id % 13 = 0;
INSERT INTO app.lines VALUES (201, 'one more');
