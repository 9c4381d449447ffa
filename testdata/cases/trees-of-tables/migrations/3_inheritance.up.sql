ALTER TABLE trees.things ADD COLUMN weight int DEFAULT 10;
ALTER TABLE trees.cars ALTER COLUMN wheels TYPE bigint;
ALTER TABLE trees.things RENAME COLUMN name TO title;
