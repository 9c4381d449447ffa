CREATE TABLE app.owners (id int PRIMARY KEY, name text);
INSERT INTO app.owners VALUES (1, 'first');
ALTER TABLE app.groups
	DROP CONSTRAINT groups_name,
	ADD CONSTRAINT groups_name_owner UNIQUE (name, id),
	ADD COLUMN owner int NOT NULL REFERENCES app.owners ON DELETE CASCADE DEFAULT 1;
ALTER TABLE app.groups ALTER COLUMN owner DROP DEFAULT;
CREATE INDEX groups_owner ON app.groups (owner);
ALTER TABLE app.groups ADD COLUMN note text;
