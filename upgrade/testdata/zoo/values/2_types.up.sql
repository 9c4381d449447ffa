ALTER TYPE vals.mood RENAME VALUE 'sad' TO 'low';
ALTER TYPE vals.address ADD ATTRIBUTE country text;
ALTER DOMAIN vals.email DROP CONSTRAINT has_at;
ALTER DOMAIN vals.email ADD CONSTRAINT with_at CHECK (VALUE LIKE '%@%');
