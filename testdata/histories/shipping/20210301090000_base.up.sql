CREATE SCHEMA shipping;
CREATE TYPE shipping.state AS ENUM ('new', 'moving', 'there', 'lost');
CREATE TABLE shipping.depots (id serial PRIMARY KEY, name text NOT NULL, town text, opened date);
CREATE TABLE shipping.drivers (id serial PRIMARY KEY, depot int REFERENCES shipping.depots, name text NOT NULL, phone varchar(30));
CREATE TABLE shipping.parcels (
    id serial PRIMARY KEY,
    code text NOT NULL UNIQUE,
    depot int NOT NULL REFERENCES shipping.depots,
    state shipping.state NOT NULL DEFAULT 'new',
    weight int NOT NULL,
    note text,
    sent timestamptz
);
CREATE TABLE shipping.scans (parcel int NOT NULL, depot int, at timestamptz NOT NULL, what text);
CREATE TABLE shipping.rates (zone text PRIMARY KEY, cents int NOT NULL);
CREATE TABLE shipping.local_rates (zone text PRIMARY KEY, cents int NOT NULL, until date);
CREATE INDEX parcels_depot ON shipping.parcels (depot);
CREATE INDEX scans_parcel ON shipping.scans (parcel);
