UPDATE app.tenants SET trial = true WHERE id IN (5, 6);
UPDATE app.tenants SET trial = false WHERE id IN (8, 12);
DELETE FROM app.notes WHERE tenant IN (5, 6);
UPDATE app.members SET tenant = 16 WHERE id = 3;
UPDATE app.members SET tenant = 3 WHERE id = 16;
UPDATE app.members SET boss = 4 WHERE id IN (21, 22);
INSERT INTO app.members (id, tenant, login) VALUES (2000, 20, 'goes'), (2001, 21, 'stays'), (2002, NULL, 'of nobody');
INSERT INTO app.sessions VALUES (md5('a')::uuid, 2000, now()), (md5('b')::uuid, 2001, NULL);
UPDATE app.sessions SET member = 2001 WHERE member = 4;
UPDATE app.invoices SET tenant = 24, by_member = 2000 WHERE id = 7;
INSERT INTO app.invoices VALUES (900, 28, 2001, 5), (901, NULL, NULL, 6);
-- a tenant that becomes a trial, with its member's move, in one transaction
BEGIN;
UPDATE app.members SET tenant = 9 WHERE tenant = 10;
UPDATE app.tenants SET trial = true WHERE id = 10;
DELETE FROM app.notes WHERE tenant = 10;
COMMIT;
DELETE FROM app.tenants WHERE id = 32;
