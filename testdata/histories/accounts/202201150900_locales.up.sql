ALTER TABLE accounts.users ADD COLUMN language text, ADD COLUMN country text;
UPDATE accounts.users SET language = split_part(locale, '_', 1), country = split_part(locale, '_', 2);
ALTER TABLE accounts.users ALTER COLUMN language SET NOT NULL, DROP COLUMN locale;
