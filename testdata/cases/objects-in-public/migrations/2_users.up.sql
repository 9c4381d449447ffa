DROP VIEW active;
ALTER TABLE users ALTER COLUMN id TYPE bigint;
ALTER TABLE posts ALTER COLUMN author TYPE bigint;
ALTER TABLE users ADD COLUMN domain citext;
UPDATE users SET domain = split_part(mail::text, '@', 2)::citext;
CREATE VIEW active AS SELECT u.id, u.mail, u.domain FROM users u WHERE u.state = 'on';
