UPDATE app.te SET k = 'bob' WHERE v = 1;
UPDATE app.te SET k = 'boB' WHERE v = 1;
DELETE FROM app.te WHERE k = 'ANN';
INSERT INTO app.te VALUES ('AnN', 9);
UPDATE app.ci SET k = 'bOB' WHERE v = 1;
UPDATE app.co SET k = 'bOB' WHERE v = 1;
