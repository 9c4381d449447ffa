ALTER TABLE app.people ALTER COLUMN code TYPE varchar(3) USING code::varchar(3), ALTER COLUMN amount TYPE int;
ALTER TABLE app.people ALTER COLUMN short TYPE char(8);
UPDATE app.people SET last = 'is ' || short || '|' WHERE short = left(short, 5);
