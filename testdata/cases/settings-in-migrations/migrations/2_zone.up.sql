SET TIME ZONE 'America/New_York'; ALTER TABLE shop.vals ALTER local TYPE timestamptz;
