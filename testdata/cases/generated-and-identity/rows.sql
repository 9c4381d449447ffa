INSERT INTO app.lines (amount, price, name) SELECT g, g * 1.25, 'L' || g FROM generate_series(1, 30) g;
INSERT INTO app.bills (note) SELECT 'b' || g FROM generate_series(1, 30) g;
INSERT INTO app.marks (note) SELECT 'm' || g FROM generate_series(1, 30) g;
