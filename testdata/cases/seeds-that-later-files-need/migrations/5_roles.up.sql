ALTER TABLE app.roles RENAME COLUMN name TO label;
