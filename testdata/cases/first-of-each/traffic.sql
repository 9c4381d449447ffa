-- the first one goes, another becomes the first, a row leads elsewhere
DELETE FROM app.events WHERE id IN (SELECT min(id) FROM app.events WHERE node_id IS NOT NULL AND execution_id IS NULL GROUP BY run_id LIMIT 9);
UPDATE app.events SET created_at = '2023-01-01' WHERE id IN (101, 202, 304);
UPDATE app.events SET run_id = md5('5')::uuid, created_at = '2022-01-01' WHERE id = 121;
UPDATE app.events SET execution_id = 1 WHERE id BETWEEN 40 AND 60;
UPDATE app.events SET node_id = 'other' WHERE id BETWEEN 61 AND 90;
INSERT INTO app.events (run_id, node_id, created_at) VALUES (md5('7')::uuid, 'early', '2021-01-01'), (md5('7')::uuid, 'as early', '2021-01-01');
INSERT INTO app.runs VALUES (md5('65')::uuid, 'a late one');
UPDATE app.runs SET id = md5('66')::uuid WHERE id = md5('11')::uuid;
DELETE FROM app.runs WHERE id = md5('12')::uuid;
INSERT INTO app.visits VALUES (500, 'door 3', 'Late', '2030-01-01', NULL), (501, 'door 4', NULL, '2030-01-01', 'x');
UPDATE app.visits SET door = 'door 9', at = '2029-01-01' WHERE id = 30;
UPDATE app.doors SET keeper = 7 WHERE code = 'door 10';
UPDATE app.doors SET code = 'door 32' WHERE code = 'door 11';
DELETE FROM app.visits WHERE id > 190 AND id < 199;
INSERT INTO app.activations VALUES (900, '2030-01-01', decode(md5('3'), 'hex'), '\xabcd');
DELETE FROM app.activations WHERE id > 140 AND id < 150;
UPDATE app.activations SET eui = decode(md5('39'), 'hex') WHERE id = 20;
