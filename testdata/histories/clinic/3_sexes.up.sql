ALTER TABLE clinic.patients ALTER COLUMN sex TYPE text USING CASE sex WHEN 'm' THEN 'male' WHEN 'f' THEN 'female' WHEN 'x' THEN 'other' END;
ALTER TABLE clinic.patients ADD CONSTRAINT patients_sex CHECK (sex IN ('male', 'female', 'other'));
