ALTER TABLE clinic.visits ADD COLUMN doctor_number text;
UPDATE clinic.visits v SET doctor_number = d.number FROM clinic.doctors d WHERE d.id = v.doctor;
