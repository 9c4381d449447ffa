INSERT INTO app.owners SELECT g, 'o' || g FROM generate_series(1, 20) g;
INSERT INTO app.things SELECT g, g % 25, g - 5, CASE WHEN g % 7 > 0 THEN 't' || g END FROM generate_series(1, 60) g;
