CREATE SCHEMA shop;
CREATE TABLE shop.vals (id int PRIMARY KEY, b bytea, f float8, i interval, d date, m money, at timestamptz, local timestamp, fs float8[], code text, "odd ""name" float4);
SET bytea_output = 'escape'; SET extra_float_digits = -9; SET intervalstyle = 'iso_8601'; SET datestyle = 'German, DMY'; SET timezone = 'Europe/Rome';
INSERT INTO shop.vals SELECT g, decode(md5(g::text), 'hex'), g / 3.0, g * interval '1 day 2 hours', date '2024-01-01' + g, g::money,
timestamptz '2024-01-15 12:00+00' + g * interval '7 hours', timestamp '2024-01-15 12:00' + g * interval '7 hours', ARRAY[g / 7.0, 1], (date '2024-01-01' + g)::text, g / 9.0
FROM generate_series(1, 200) g;
CREATE TABLE shop.loose (f float8, t text); INSERT INTO shop.loose SELECT g / 3.0, 'x' FROM generate_series(1, 20) g;
