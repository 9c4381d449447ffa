ALTER SEQUENCE vals.numbers INCREMENT 5 CACHE 1;
ALTER SEQUENCE vals.small RENAME TO smaller;
CREATE SEQUENCE vals.fresh START 5 INCREMENT 5;
ALTER TABLE vals.serials ADD COLUMN extra bigint DEFAULT 0;
ALTER TABLE vals.identities ADD COLUMN more text;
