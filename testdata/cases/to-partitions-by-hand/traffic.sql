INSERT INTO app.events (at, note) VALUES ('2030-01-01', 'far'), ('2024-02-03', 'near');
UPDATE app.events SET at = '2026-06-06' WHERE id = 3;
DELETE FROM app.events WHERE id = 4;
