INSERT INTO app.events SELECT g, timestamp '2024-03-31 00:00' + g * interval '17 min', date '2024-10-26' + g % 3, '2024-10-27 0' || g % 4 || ':30' FROM generate_series(1, 40) g;
INSERT INTO app.logs SELECT g, timestamp '2024-10-27 00:00' + g * interval '13 min', timestamptz '2024-10-26 22:00+00' + g * interval '13 min' FROM generate_series(1, 40) g;
