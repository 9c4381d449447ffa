INSERT INTO app.t SELECT g, g, timestamp '2026-03-28 22:00' + g * interval '20 min' FROM generate_series(1, 30) g;
