INSERT INTO app.docs (data, meta) SELECT jsonb_build_object('old', g, 'name', jsonb_build_object('first', 'F' || g, 'last', NULL), 'tags', to_jsonb(ARRAY['b', 'a', 'x' || g % 3])), json_build_object('b', 1, 'a', g) FROM generate_series(1, 40) g;
INSERT INTO app.docs (data, meta) VALUES (NULL, NULL), ('null', 'null'), ('{}', '{}'), ('{"old": null, "n": 1.10}', '{"a": 1.0, "a": 2}');
