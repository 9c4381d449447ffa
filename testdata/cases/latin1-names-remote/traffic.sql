INSERT INTO app."straßen" ("länge", t) VALUES (1000, 'ÿ');
UPDATE app."straßen" SET t = 'þ', id = id + 1000 WHERE id = 7;
DELETE FROM app."ohne Schlüssel" WHERE "wört" = 'é';
INSERT INTO app."ohne Schlüssel" VALUES ('ø');
