INSERT INTO app.bills (kind, amount) VALUES ('a', 1000); UPDATE app.bills SET amount = 5 WHERE id = 3;
INSERT INTO app.lines (bill, n) VALUES (3, 33); DELETE FROM app.lines WHERE id = 4;
