CREATE TYPE shop.order_status AS ENUM ('new', 'paid', 'sent');
ALTER TABLE shop.orders DROP CONSTRAINT orders_status_check;
ALTER TABLE shop.orders ALTER COLUMN status DROP DEFAULT;
ALTER TABLE shop.orders ALTER COLUMN status TYPE shop.order_status USING status::shop.order_status;
ALTER TABLE shop.orders ALTER COLUMN status SET DEFAULT 'new';
