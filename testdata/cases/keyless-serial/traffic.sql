INSERT INTO app.a VALUES ('new'), ('new'), ('v3');
DELETE FROM app.a WHERE v = 'v7';
UPDATE app.a SET v = 'changed' WHERE v = 'v5';
DELETE FROM app.b WHERE n = 1;
INSERT INTO app.b VALUES ('v', 2), (NULL, NULL);
