INSERT INTO app.owners SELECT i, 'Owner ' || i FROM generate_series(1, 30) i;
INSERT INTO app.things (owner, kind) SELECT nullif(i % 33, 0), 'kind ' || i % 4 FROM generate_series(1, 200) i;
