ALTER TABLE clinic.visits ADD COLUMN period tstzrange GENERATED ALWAYS AS (tstzrange(starts, ends)) STORED;
CREATE INDEX visits_period ON clinic.visits USING gist (period);
