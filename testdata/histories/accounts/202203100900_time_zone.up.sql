SET TIME ZONE 'Europe/Zurich';
ALTER TABLE accounts.users ADD COLUMN created_on date;
UPDATE accounts.users SET created_on = created_at::date;
RESET TIME ZONE;
