ALTER TABLE audit.events ADD COLUMN mail text;
UPDATE audit.events e SET mail = u.mail FROM accounts.users u WHERE u.id = e.user_id;
