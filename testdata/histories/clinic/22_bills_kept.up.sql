ALTER TABLE clinic.bills DROP CONSTRAINT bills_visit_fkey, ADD FOREIGN KEY (visit) REFERENCES clinic.visits ON DELETE RESTRICT;
