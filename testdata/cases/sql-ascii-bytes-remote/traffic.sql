UPDATE app."straßen" SET t = chr(255) WHERE id < 9;
UPDATE app.keys SET k = chr(254) || k WHERE n < 9;
UPDATE app.keys SET n = 0 WHERE n > 290;
DELETE FROM app.keys WHERE n = 200;
DELETE FROM app.loose WHERE t = chr(200);
INSERT INTO app.loose VALUES (chr(129));
