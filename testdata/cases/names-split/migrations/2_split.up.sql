ALTER TABLE app.people ADD COLUMN first text, ADD COLUMN last text;
UPDATE app.people SET first = split_part(name, ' ', 1), last = NULLIF(substr(name, strpos(name, ' ') + 1), name);
UPDATE app.people SET first = 'none' WHERE btrim(first) = '';
ALTER TABLE app.people ALTER COLUMN first SET NOT NULL, DROP COLUMN name;
