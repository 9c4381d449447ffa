ALTER TABLE billing.bills ADD COLUMN other billing.kind NOT NULL DEFAULT 'b';
UPDATE billing.bills SET other = kind WHERE kind = 'a';
CREATE TABLE app.bills (id int PRIMARY KEY);
INSERT INTO app.bills VALUES (1);
