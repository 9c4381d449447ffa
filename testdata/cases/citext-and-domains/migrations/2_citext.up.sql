ALTER TABLE app.users ALTER COLUMN mail TYPE citext;
ALTER TABLE app.users ADD CONSTRAINT users_mail UNIQUE (mail);
ALTER TABLE app.users ADD COLUMN admin boolean NOT NULL DEFAULT false, ADD COLUMN host text;
UPDATE app.users SET admin = true WHERE mail = 'admin@X.org';
UPDATE app.users SET host = split_part(mail, '@x', 2);
