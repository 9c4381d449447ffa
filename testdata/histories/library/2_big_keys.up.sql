ALTER TABLE library.loans ALTER COLUMN book TYPE bigint, ALTER COLUMN reader TYPE bigint;
ALTER TABLE library.books ALTER COLUMN id TYPE bigint;
ALTER TABLE library.readers ALTER COLUMN id TYPE bigint;
ALTER TABLE library.fines ALTER COLUMN reader TYPE bigint;
