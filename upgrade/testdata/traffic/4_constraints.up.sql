CREATE INDEX ON shop.item (price) WHERE stock > 5;
ALTER TABLE shop.grandchild ADD CHECK (no > -1000000);
CREATE VIEW shop.cheap AS SELECT id, name FROM shop.item WHERE price < 100;
