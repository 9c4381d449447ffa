INSERT INTO app.docs (data, meta) VALUES ('{"old": "late", "tags": []}', '{"a": 9}');
UPDATE app.docs SET data = data || '{"old": "changed"}' WHERE id = 7;
DELETE FROM app.docs WHERE id = 8;
UPDATE app.docs SET data = NULL WHERE id = 9;
