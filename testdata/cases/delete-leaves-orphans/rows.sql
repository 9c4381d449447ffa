INSERT INTO app.grade VALUES (0, 'none'), (1, 'low'), (2, 'high');
INSERT INTO app.berth VALUES (1, 0), (2, 1), (3, 2);
