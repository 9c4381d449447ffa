ALTER TABLE clinic.visits ADD COLUMN ends timestamp;
UPDATE clinic.visits SET ends = starts + minutes * interval '1 minute';
ALTER TABLE clinic.visits ADD CONSTRAINT visits_order CHECK (ends >= starts);
