-- A rank among all customers is nothing that one row tells: this runs behind the fence.
ALTER TABLE shop.customers ADD COLUMN best boolean NOT NULL DEFAULT false;
UPDATE shop.customers SET best = true WHERE id IN (
    SELECT customer_id FROM shop.orders GROUP BY customer_id ORDER BY sum(total) DESC, customer_id LIMIT 200);
