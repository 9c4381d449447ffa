CREATE SCHEMA stock;
CREATE TABLE stock.places (code text PRIMARY KEY, name text, kept text);
CREATE TABLE stock.items (id serial PRIMARY KEY, sku text NOT NULL UNIQUE, title text NOT NULL, price numeric(9,2), tags text, gone boolean);
CREATE TABLE stock.moves (id bigserial PRIMARY KEY, item int NOT NULL REFERENCES stock.items, place text REFERENCES stock.places ON UPDATE CASCADE, amount int NOT NULL, at timestamptz);
CREATE TABLE stock.orders (id serial PRIMARY KEY, number int, customer text, item int REFERENCES stock.items, amount int);
CREATE INDEX moves_item ON stock.moves (item);
CREATE INDEX moves_place ON stock.moves (place);
CREATE INDEX orders_item ON stock.orders (item);
