UPDATE shop.customers c SET total = s.sum FROM (SELECT customer_id, sum(total) FROM shop.orders GROUP BY 1) s WHERE s.customer_id = c.id;
