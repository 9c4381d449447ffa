UPDATE app.jobs SET status = 'Success' WHERE id % 14 = 0;
UPDATE app.jobs SET run = run + 1 WHERE id % 11 = 0;
INSERT INTO app.runs SELECT n, 'Running' FROM generate_series(91, 99) n;
INSERT INTO app.notes (run, text) VALUES (95, 'a late one');
DELETE FROM app.runs WHERE id IN (5, 92);
INSERT INTO app.lines VALUES (201, 'one more');
