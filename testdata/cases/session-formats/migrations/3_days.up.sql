ALTER TABLE shop.vals ADD w text; UPDATE shop.vals SET w = f || ' ' || at; ALTER TABLE shop.vals ALTER local TYPE timestamptz; DELETE FROM shop.vals WHERE d = '10.1.2024'::date::text;
CREATE TABLE shop.days (id int PRIMARY KEY, t text NOT NULL, n int); INSERT INTO shop.days SELECT id, 'on ' || code, 3 FROM shop.vals WHERE code > '1.2.2024';
