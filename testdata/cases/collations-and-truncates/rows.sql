INSERT INTO app.words SELECT g, (ARRAY['apple', 'Banana', 'cherry', 'Zoo', 'aZ', 'Ab', 'é', 'z'])[1 + g % 8] || g FROM generate_series(1, 40) g;
INSERT INTO app.queue (what) SELECT 'q' || g FROM generate_series(1, 10) g;
INSERT INTO app.parts (queue) SELECT g FROM generate_series(1, 10) g;
INSERT INTO app.tens (n) SELECT g FROM generate_series(1, 10) g;
