ALTER TABLE app.t ADD COLUMN w int; CREATE TABLE app.more (id int PRIMARY KEY);
