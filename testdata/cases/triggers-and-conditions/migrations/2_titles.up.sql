UPDATE app.notes SET title = 'Untitled ' || id, slug = 'lost' WHERE body IS NULL;
