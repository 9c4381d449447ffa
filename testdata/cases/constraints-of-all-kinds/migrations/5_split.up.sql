-- A new table that references an old one.
CREATE TABLE rules.regions (id int PRIMARY KEY, label text NOT NULL);
INSERT INTO rules.regions SELECT DISTINCT region, 'region ' || region FROM rules.customers;
ALTER TABLE rules.customers ADD FOREIGN KEY (region) REFERENCES rules.regions;
-- not for rows that are there
ALTER TABLE rules.orders ADD CONSTRAINT late CHECK (placed > '2024-12-31') NOT VALID;
