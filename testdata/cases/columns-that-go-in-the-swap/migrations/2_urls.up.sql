INSERT INTO app.repos (url) SELECT 'https://example.org/new' WHERE NOT EXISTS (SELECT FROM app.repos WHERE url = 'https://example.org/new');
UPDATE app.configs SET repo = (SELECT id FROM app.repos WHERE url = 'https://example.org/new') WHERE repo = (SELECT id FROM app.repos WHERE url = 'https://example.org/2') AND org = 1;
