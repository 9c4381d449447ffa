ALTER TABLE app.people ALTER COLUMN code TYPE text, ALTER COLUMN amount TYPE numeric(12, 3), ALTER COLUMN rate TYPE double precision, ALTER COLUMN short TYPE text;
UPDATE app.people SET code = code || '.', amount = amount / 4, short = short || length(short);
ALTER TABLE app.people ADD COLUMN third numeric, ADD COLUMN half bigint;
UPDATE app.people SET third = amount / 3, half = big / 2 + 1, rate = rate * 3;
