INSERT INTO app.words VALUES (99, 'Aa'), (98, 'aA'); UPDATE app.words SET w = 'Yak' WHERE id = 3;
INSERT INTO app.queue (what) VALUES ('late'); INSERT INTO app.parts (queue) VALUES (3); INSERT INTO app.tens (n) VALUES (99);
