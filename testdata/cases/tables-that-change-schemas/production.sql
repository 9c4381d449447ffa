CREATE SCHEMA app;
CREATE SCHEMA billing;
CREATE TYPE app.kind AS ENUM ('a', 'b');
CREATE TABLE app.bills (id serial PRIMARY KEY, kind app.kind NOT NULL, amount int);
CREATE TABLE app.lines (id serial PRIMARY KEY, bill int REFERENCES app.bills, n int);
CREATE VIEW app.sums AS SELECT bill, sum(n) AS n FROM app.lines GROUP BY bill;
CREATE TABLE billing.plans (id int PRIMARY KEY, name text);
