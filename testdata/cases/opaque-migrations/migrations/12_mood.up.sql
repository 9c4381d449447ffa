DROP TYPE IF EXISTS shop.mood; CREATE TYPE shop.mood AS ENUM ('a'); ALTER TYPE shop.mood ADD VALUE 'b';
CREATE VIEW shop.sums AS SELECT customer_id, sum(total) FROM shop.orders GROUP BY 1;
