-- The first who joined is taken for the one who made it.
ALTER TABLE app.workflows ADD COLUMN created_by uuid;
UPDATE app.workflows w SET created_by = (SELECT u.id FROM app.users u WHERE u.org = w.org ORDER BY u.joined LIMIT 1) WHERE w.created_by IS NULL;
