ALTER TABLE app.x RENAME TO tmp;
ALTER TABLE app.y RENAME TO x;
ALTER TABLE app.tmp RENAME TO y;
UPDATE app.x SET a = a || ' ' || (SELECT b FROM app.y WHERE y.id = x.x);
ALTER TABLE app.x RENAME COLUMN x TO y;
