ALTER TABLE accounts.users ALTER COLUMN name TYPE varchar(20) USING left(name, 20);
