ALTER TABLE clinic.patients ADD COLUMN insurer text NOT NULL DEFAULT 'NONE' REFERENCES clinic.insurers;
