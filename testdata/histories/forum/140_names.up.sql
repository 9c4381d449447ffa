ALTER TABLE forum.users RENAME COLUMN login TO name;
ALTER TABLE forum.users ADD COLUMN name_lower text;
ALTER TABLE forum.users DISABLE TRIGGER touch;
UPDATE forum.users SET name_lower = lower(name);
ALTER TABLE forum.users ENABLE TRIGGER touch;
ALTER TABLE forum.users ALTER COLUMN name_lower SET NOT NULL;
