ALTER TABLE app.logs ALTER COLUMN at TYPE timestamptz, ALTER COLUMN seen TYPE timestamp;
ALTER TABLE app.events ADD COLUMN parsed timestamptz, ADD COLUMN hour int;
UPDATE app.events SET parsed = txt::timestamptz, hour = extract(hour FROM at);
