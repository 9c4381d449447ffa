INSERT INTO app.pages SELECT g, 'The page ' || g, 'words and words of ' || g FROM generate_series(1, 30) g;
