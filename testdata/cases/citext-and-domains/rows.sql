INSERT INTO app.users SELECT g, CASE WHEN g % 2 = 0 THEN 'User' ELSE 'uSER' END || g || '@X.org', (ARRAY['new', 'paid', 'gone'])[1 + g % 3]::app.state, g * 3, g * 1.5 FROM generate_series(1, 40) g;
