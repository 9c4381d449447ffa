DROP VIEW forum.users;
DROP FUNCTION forum.write_users();
