INSERT INTO app.lines (amount, price, name) VALUES (3, 3, 'late');
UPDATE app.lines SET amount = 77 WHERE id = 3;
INSERT INTO app.bills (note) VALUES ('late'), ('later');
INSERT INTO app.marks (note) VALUES ('late');
DELETE FROM app.bills WHERE id = 4;
