ALTER TABLE app.events RENAME TO events_old;
ALTER INDEX app.events_at RENAME TO events_old_at;
ALTER TABLE app.events_old RENAME CONSTRAINT events_pkey TO events_old_pkey;
