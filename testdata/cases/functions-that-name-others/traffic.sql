INSERT INTO app.page (id, name) VALUES (100, 'Traffic One');
UPDATE app.page SET name = 'Changed ' || id WHERE id % 7 = 0;
DELETE FROM app.page WHERE id % 11 = 0;
UPDATE app.alone SET name = 'Other ' || id WHERE id < 10;
INSERT INTO app.part VALUES (100, 'A a'), (101, 'D d');
UPDATE app.part SET name = 'B b' WHERE id % 5 = 0;
REFRESH MATERIALIZED VIEW app.counted;
