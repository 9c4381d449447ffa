INSERT INTO app.roles (name, scope, made_at) VALUES ('admin', 'all', '2020-01-01'), ('user', 'own', '2020-01-02');
INSERT INTO app.permissions (word) VALUES ('read'), ('write');
INSERT INTO app.role_permissions VALUES (1, 1), (1, 2), (2, 1);
INSERT INTO app.users (role_id, mail) SELECT 1 + n % 2, 'U' || n || '@X.org' FROM generate_series(1, 300) n;
INSERT INTO app.settings VALUES ('theme', 'dark');
