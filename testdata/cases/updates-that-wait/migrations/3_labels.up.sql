UPDATE app.parts p SET label = x.first FROM (SELECT org, string_agg(name, ',' ORDER BY id) AS first FROM app.parts GROUP BY org) x WHERE x.org = p.org;
UPDATE app.parts SET label = md5(label) || '-' || id;
ALTER TABLE app.parts DROP CONSTRAINT old_check, ADD CONSTRAINT labelled CHECK (label <> ''), ADD UNIQUE (label);
CREATE UNIQUE INDEX IF NOT EXISTS parts_lower ON app.parts (lower(label), org) WHERE org >= 0;
