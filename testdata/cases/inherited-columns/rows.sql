INSERT INTO shop.base (kind) SELECT 'b' FROM generate_series(1, 50);
INSERT INTO shop.child (extra) SELECT n FROM generate_series(1, 50) n;
INSERT INTO shop.grand (extra, more) SELECT n, 'm' FROM generate_series(1, 50) n;
INSERT INTO shop.second (kind) VALUES ('s');
INSERT INTO shop.alone VALUES ('alone', 1, 100000, 2, '2024-01-01');
