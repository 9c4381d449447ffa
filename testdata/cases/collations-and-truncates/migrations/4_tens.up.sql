ALTER SEQUENCE app.tens_id_seq INCREMENT BY 10;
ALTER TABLE app.tens ALTER COLUMN id TYPE bigint;
ALTER SEQUENCE app.tens_id_seq AS bigint MINVALUE -5;
ALTER TABLE app.tens ADD COLUMN k int;
UPDATE app.tens SET k = n WHERE n > (SELECT 5);
