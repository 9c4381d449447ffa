INSERT INTO app.chart (name) SELECT 'chart ' || g FROM generate_series(1, 30) g;
