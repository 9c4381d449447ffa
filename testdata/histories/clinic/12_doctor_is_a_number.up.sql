ALTER TABLE clinic.visits DROP COLUMN doctor;
ALTER TABLE clinic.visits ADD FOREIGN KEY (doctor_number) REFERENCES clinic.doctors (number);
CREATE INDEX visits_doctor_number ON clinic.visits (doctor_number);
