ALTER TABLE shop.notes ADD COLUMN at timestamptz; UPDATE shop.notes SET at = timestamp '2026-01-01 00:00' + id * interval '1 minute';
