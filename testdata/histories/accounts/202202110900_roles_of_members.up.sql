CREATE TYPE accounts.role AS ENUM ('reader', 'writer', 'admin');
ALTER TABLE accounts.members ADD COLUMN role accounts.role NOT NULL DEFAULT 'writer';
UPDATE accounts.members SET role = 'admin' WHERE admin;
ALTER TABLE accounts.members DROP COLUMN admin;
