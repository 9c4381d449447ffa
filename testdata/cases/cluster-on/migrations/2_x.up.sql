ALTER TABLE app.a ADD COLUMN w int; ALTER TABLE app.b ALTER COLUMN id TYPE bigint; ALTER TABLE app.c ADD w int; ALTER TABLE app.d ADD w int;
