INSERT INTO app.events (at, kind, note) SELECT date '2024-01-01' + g * 9, 'k' || g % 5, 'n' || g FROM generate_series(1, 60) g;
INSERT INTO app.keys SELECT g, 'k' || g FROM generate_series(1, 20) g;
