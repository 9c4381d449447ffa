CREATE SCHEMA app;
CREATE TABLE app.grade (id int PRIMARY KEY, name text);
CREATE TABLE app.berth (id int PRIMARY KEY, grade_id int REFERENCES app.grade (id));
