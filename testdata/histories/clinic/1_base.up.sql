CREATE SCHEMA clinic;
CREATE TABLE clinic.doctors (id serial PRIMARY KEY, name text NOT NULL, field text);
CREATE TABLE clinic.patients (id serial PRIMARY KEY, insured text UNIQUE, name text NOT NULL, sex char(1), phone text, born date);
CREATE TABLE clinic.visits (id serial PRIMARY KEY, patient int NOT NULL REFERENCES clinic.patients, doctor int REFERENCES clinic.doctors ON DELETE SET NULL, starts timestamp NOT NULL, minutes int NOT NULL, notes text);
CREATE TABLE clinic.bills (visit int NOT NULL REFERENCES clinic.visits ON DELETE CASCADE, position int NOT NULL, text text, rappen bigint NOT NULL, PRIMARY KEY (visit, position));
CREATE TABLE clinic.insurers (code text PRIMARY KEY, name text NOT NULL);
CREATE INDEX visits_patient ON clinic.visits (patient);
CREATE INDEX visits_doctor ON clinic.visits (doctor);
