ALTER TABLE app.resources ADD COLUMN kind app.kind;
UPDATE app.resources AS r SET kind = c.kind FROM app.connections AS c WHERE c.resource = r.name AND c.org = r.org;
UPDATE app.resources SET kind = 'custom' WHERE kind IS NULL OR name = 'two';
