-- What the leader's last look found against leading clients over, where the shadow
-- is another database: texts. It alone reaches PgBouncer's files.
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS clients json;
