CREATE SCHEMA shop;
CREATE TYPE shop.state AS ENUM ('new', 'paid');
CREATE TABLE shop.customers (id serial PRIMARY KEY, name text NOT NULL, total numeric);
CREATE TABLE shop.orders (id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers, state shop.state NOT NULL DEFAULT 'new', total numeric(10,2));
CREATE TABLE shop.notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id int REFERENCES shop.customers ON DELETE CASCADE, note text);
CREATE TABLE shop.checked (id int PRIMARY KEY, peer int, CONSTRAINT peer FOREIGN KEY (peer) REFERENCES shop.checked DEFERRABLE INITIALLY DEFERRED);
