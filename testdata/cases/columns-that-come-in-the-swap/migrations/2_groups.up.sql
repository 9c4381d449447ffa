CREATE TABLE app.groups (id bigserial PRIMARY KEY, name text NOT NULL, CONSTRAINT groups_name UNIQUE (name));
INSERT INTO app.groups (name) SELECT DISTINCT (n.eui) FROM app.nodes n ORDER BY n.eui;
ALTER TABLE app.nodes ADD COLUMN grp bigint REFERENCES app.groups ON DELETE CASCADE;
UPDATE app.nodes SET grp = (SELECT id FROM app.groups WHERE name = nodes.eui);
ALTER TABLE app.nodes ALTER COLUMN grp SET NOT NULL;
CREATE INDEX nodes_grp ON app.nodes (grp);
