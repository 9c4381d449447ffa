ALTER TABLE app.shift ADD COLUMN note text;
