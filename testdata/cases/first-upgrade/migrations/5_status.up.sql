CREATE TYPE shop.status AS ENUM ('new', 'paid');
ALTER TABLE shop.orders ALTER COLUMN status DROP DEFAULT, ALTER COLUMN status TYPE shop.status USING status::shop.status, ALTER COLUMN status SET DEFAULT 'new';
