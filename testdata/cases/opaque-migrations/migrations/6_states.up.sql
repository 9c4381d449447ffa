UPDATE shop.orders SET state = 'sent' WHERE id IN (SELECT max(id) FROM shop.orders GROUP BY customer_id);
