CREATE UNLOGGED TABLE shipping.cache (key text PRIMARY KEY, value jsonb);
COMMENT ON TABLE shipping.cache IS 'may be empty at any time';
