INSERT INTO app.places SELECT g, 'P' || g, ROW('s' || g, 'c' || g)::app.address, ARRAY['x', 'y' || g] FROM generate_series(1, 20) g;
INSERT INTO app.visits SELECT g, 'P' || 1 + g % 20, g FROM generate_series(1, 60) g;
INSERT INTO app.nulls SELECT g, 'P' || 1 + g % 20 FROM generate_series(1, 20) g;
