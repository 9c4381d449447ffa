ALTER TABLE app.lines ALTER COLUMN total DROP EXPRESSION;
UPDATE app.lines SET amount = amount + 1 WHERE id % 2 = 0;
ALTER TABLE app.lines ADD COLUMN product numeric GENERATED ALWAYS AS (amount * price) STORED, ADD COLUMN slug text GENERATED ALWAYS AS (lower(name) || '-' || amount) STORED;
