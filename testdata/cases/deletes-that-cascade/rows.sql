INSERT INTO app.tenants SELECT i, 'Tenant ' || i, i % 4 = 0 FROM generate_series(1, 40) i;
INSERT INTO app.members (tenant, login) SELECT nullif(i % 41, 0), 'm' || i FROM generate_series(1, 300) i;
UPDATE app.members SET boss = id - 7 WHERE id > 7 AND id % 3 > 0;
INSERT INTO app.sessions SELECT md5(i::text)::uuid, 1 + i % 300, '2024-01-01'::timestamptz + i * interval '3 hours' FROM generate_series(1, 500) i;
INSERT INTO app.invoices SELECT i, nullif(i % 41, 0), 1 + i % 290, i * 100 FROM generate_series(1, 200) i;
INSERT INTO app.notes SELECT i, 1 + (i * 4) % 37, i, 'note' FROM generate_series(1, 60) i WHERE (1 + (i * 4) % 37) % 4 > 0;
