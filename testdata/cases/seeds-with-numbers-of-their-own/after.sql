SELECT * FROM app.roles ORDER BY id;
SELECT nextval('app.roles_id_seq');
SELECT count(*) FROM app.users WHERE mail <> lower(mail);
