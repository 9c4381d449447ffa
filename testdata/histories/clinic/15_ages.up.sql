ALTER TABLE clinic.patients ADD COLUMN cohort int GENERATED ALWAYS AS (extract(year FROM born)::int / 10 * 10) STORED;
