ALTER TABLE keys.without ADD COLUMN c int DEFAULT 3;
UPDATE keys.without SET c = a + 1 WHERE a IS NOT NULL;
ALTER TABLE keys.without ALTER COLUMN a TYPE bigint;
ALTER TABLE keys.without_but_nullable RENAME COLUMN b TO label;
