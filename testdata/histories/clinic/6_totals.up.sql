ALTER TABLE clinic.visits ADD COLUMN total numeric(14,2);
UPDATE clinic.visits v SET total = (SELECT sum(b.francs) FROM clinic.bills b WHERE b.visit = v.id);
