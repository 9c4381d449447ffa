CREATE TABLE library.cities (name text PRIMARY KEY, readers bigint);
INSERT INTO library.cities (name, readers) SELECT city, count(*) FROM library.addresses WHERE city IS NOT NULL GROUP BY city;
