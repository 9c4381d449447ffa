ALTER TABLE app.resources ADD COLUMN label text;
