ALTER TYPE vals.mood RENAME VALUE 'sad' TO 'low';
-- these two change places
ALTER TYPE vals.mood RENAME VALUE 'ok' TO 'between';
ALTER TYPE vals.mood RENAME VALUE 'happy' TO 'ok';
ALTER TYPE vals.mood RENAME VALUE 'between' TO 'happy';
ALTER TYPE vals.parcel ADD ATTRIBUTE depth int;
ALTER DOMAIN vals.email DROP CONSTRAINT has_at;
ALTER DOMAIN vals.email ADD CONSTRAINT with_at CHECK (VALUE LIKE '%@%');
