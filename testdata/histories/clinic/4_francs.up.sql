ALTER TABLE clinic.bills ADD COLUMN francs numeric(12,2);
UPDATE clinic.bills SET francs = rappen / 100.0;
ALTER TABLE clinic.bills ALTER COLUMN francs SET NOT NULL;
