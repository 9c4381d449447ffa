ALTER TABLE app.words ALTER COLUMN w TYPE text COLLATE "C";
UPDATE app.words SET upper = w < 'a';
DELETE FROM app.words WHERE w > 'z' OR w BETWEEN 'B' AND 'C';
