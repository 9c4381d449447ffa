CREATE INDEX CONCURRENTLY orders_state ON shop.orders (state);
