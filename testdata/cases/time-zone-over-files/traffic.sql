UPDATE app.events SET at = '2024-03-31 02:30' WHERE id = 3;
INSERT INTO app.logs VALUES (99, '2024-10-27 02:30', '2024-10-27 02:30+02');
DELETE FROM app.events WHERE id = 4;
