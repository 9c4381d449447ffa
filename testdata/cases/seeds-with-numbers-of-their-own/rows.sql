INSERT INTO app.roles (name) VALUES ('admin'), ('user');
INSERT INTO app.users (role_id, mail) SELECT 1 + n % 2, 'U' || n || '@X.org' FROM generate_series(1, 100) n;
