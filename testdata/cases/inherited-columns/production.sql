CREATE SCHEMA shop;
CREATE FUNCTION shop.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE TABLE shop.base (id serial PRIMARY KEY, kind text NOT NULL CHECK (kind <> ''), "a,b" numeric(10,2) DEFAULT 1.5);
CREATE VIEW shop.between AS SELECT id FROM shop.base;
CREATE TABLE shop.child (extra int, g int GENERATED ALWAYS AS (shop.twice(extra)) STORED, PRIMARY KEY (id)) INHERITS (shop.base);
CREATE TABLE shop.grand (z text DEFAULT E'x\ny,\n    q int', PRIMARY KEY (id)) INHERITS (shop.child);
ALTER TABLE shop.base ADD COLUMN at timestamptz DEFAULT '2024-02-02', ADD CONSTRAINT later CHECK (at IS NOT NULL);
ALTER TABLE shop.child ADD COLUMN more text; ALTER TABLE shop.child ALTER kind SET DEFAULT 'c';
CREATE TABLE shop.second (PRIMARY KEY (id)) INHERITS (shop.base);
CREATE TABLE shop.alone (kind text NOT NULL, own int, id int PRIMARY KEY, "a,b" numeric(10,2), at timestamptz,
CONSTRAINT base_kind_check CHECK (kind <> ''), CONSTRAINT later CHECK (at IS NOT NULL));
ALTER TABLE shop.alone INHERIT shop.base;
