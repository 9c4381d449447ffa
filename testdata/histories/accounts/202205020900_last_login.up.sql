ALTER TABLE accounts.users ADD COLUMN last_login timestamptz;
UPDATE accounts.users u SET last_login = (SELECT max(l.expires) FROM audit.logins l WHERE l.user_id = u.id);
