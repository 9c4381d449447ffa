INSERT INTO app.notes SELECT i, 'Note ' || i, 'old-' || i, CASE WHEN i % 4 > 0 THEN 'body ' || i END FROM generate_series(1, 200) i;
INSERT INTO app.tags SELECT i, i / 2, 'tag' || i % 20 FROM generate_series(1, 500) i;
INSERT INTO app.names SELECT 'tag' || i, (ARRAY['en', 'de'])[1 + i % 2] FROM generate_series(0, 12) i;
