ALTER TABLE clinic.bills DROP COLUMN rappen;
