CREATE TABLE clinic.fields (name text PRIMARY KEY);
INSERT INTO clinic.fields SELECT DISTINCT field FROM clinic.doctors WHERE field IS NOT NULL;
ALTER TABLE clinic.doctors ADD CONSTRAINT doctors_field FOREIGN KEY (field) REFERENCES clinic.fields DEFERRABLE INITIALLY DEFERRED;
