CREATE OR REPLACE FUNCTION app.points(spent int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT spent / 5';
UPDATE app.members SET bonus = app.points(spent);
