ALTER TYPE vals.mood RENAME VALUE 'sad' TO 'low';
ALTER TYPE vals.address ADD ATTRIBUTE country text;
ALTER DOMAIN vals.positive ADD CONSTRAINT small CHECK (VALUE < 1000000);
