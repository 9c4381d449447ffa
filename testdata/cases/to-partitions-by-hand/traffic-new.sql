INSERT INTO app.events (at, note) VALUES ('2025-05-05', 'new');
