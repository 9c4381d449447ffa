INSERT INTO app.chart (name) VALUES ('a'), ('b');
