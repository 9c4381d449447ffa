INSERT INTO app."straßen" ("länge", t) SELECT g, chr(g % 250 + 1) FROM generate_series(1, 300) g;
INSERT INTO app.keys SELECT chr(g % 250 + 1) || g, g FROM generate_series(1, 300) g;
INSERT INTO app.loose SELECT chr(g % 250 + 1) FROM generate_series(1, 300) g;
