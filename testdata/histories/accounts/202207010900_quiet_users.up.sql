ALTER TABLE accounts.users ADD COLUMN quiet boolean NOT NULL DEFAULT false;
UPDATE accounts.users u SET quiet = true WHERE NOT EXISTS (SELECT FROM audit.logins l WHERE l.user_id = u.id) AND NOT EXISTS (SELECT FROM accounts.members m WHERE m.user_id = u.id);
