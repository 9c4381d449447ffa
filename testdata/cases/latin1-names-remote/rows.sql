INSERT INTO app."straßen" ("länge", t) SELECT g, chr(160 + g % 90) FROM generate_series(1, 200) g;
INSERT INTO app."ohne Schlüssel" SELECT chr(160 + g % 90) FROM generate_series(1, 200) g;
