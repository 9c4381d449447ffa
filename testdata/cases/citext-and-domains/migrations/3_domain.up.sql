CREATE DOMAIN app.positive AS int DEFAULT 5 CHECK (VALUE >= 0);
ALTER TABLE app.users ALTER COLUMN cents TYPE app.positive;
ALTER TABLE app.users ADD COLUMN rank app.positive;
ALTER DOMAIN app.amount ADD CONSTRAINT small CHECK (VALUE < 1000) NOT VALID;
ALTER DOMAIN app.amount VALIDATE CONSTRAINT small;
