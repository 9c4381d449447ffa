UPDATE messages.outbox SET queued = '2019-07-02' WHERE queued IS NULL;
ALTER TABLE messages.outbox ALTER COLUMN mail SET NOT NULL, ALTER COLUMN queued SET NOT NULL;
