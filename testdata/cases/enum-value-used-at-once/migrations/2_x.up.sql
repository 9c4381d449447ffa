ALTER TYPE app.s ADD VALUE 'b';
UPDATE app.t SET s='b' WHERE id>10;
