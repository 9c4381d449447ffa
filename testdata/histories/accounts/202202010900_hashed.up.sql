ALTER TABLE accounts.sessions ADD COLUMN hash bytea;
UPDATE accounts.sessions SET hash = sha256(convert_to(token, 'UTF8'));
ALTER TABLE accounts.sessions DROP COLUMN token, ALTER COLUMN hash SET NOT NULL, ADD UNIQUE (hash);
