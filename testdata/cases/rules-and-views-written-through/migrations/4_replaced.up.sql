CREATE OR REPLACE VIEW app.shown AS SELECT id, a, b, hidden FROM app.base;
UPDATE app.shown SET hidden = false WHERE id % 8 = 0;
DROP RULE nothing ON app.still;
UPDATE app.still SET a = a + 1;
