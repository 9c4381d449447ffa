-- a partner comes, goes, changes, and is another one's
INSERT INTO app.tokens VALUES (901, 80, 5000), (902, 81, NULL), (903, 6, 9000), (904, NULL, 300);
DELETE FROM app.tokens WHERE owner = 7;
UPDATE app.tokens SET used = 10000 WHERE id = 8;
UPDATE app.tokens SET owner = 85 WHERE id = 9;
UPDATE app.tokens SET dead = true WHERE owner = 10;
DELETE FROM app.tokens WHERE owner = 11 AND used > 200;
-- and the row
INSERT INTO app.users VALUES (200, 'late@x.org', 'h1', 44);
INSERT INTO app.tokens VALUES (905, 200, 600), (906, 777, 600);
UPDATE app.users SET id = 300 WHERE id = 12;
UPDATE app.users SET hash = 'x' WHERE id = 13;
UPDATE app.users SET plan = 9 WHERE id = 14;
UPDATE app.users SET plan = 77 WHERE id = 15;
DELETE FROM app.plans WHERE id = 3;
INSERT INTO app.plans VALUES (11, 'Plan 11');
DELETE FROM app.users WHERE id IN (16, 17);
TRUNCATE app.plans; INSERT INTO app.plans SELECT i, 'Plan ' || i FROM generate_series(2, 12, 2) i;
