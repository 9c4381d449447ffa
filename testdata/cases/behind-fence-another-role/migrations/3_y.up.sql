SET ROLE "case far bot";
RESET ROLE;
CREATE SEQUENCE app.free;
INSERT INTO app.who VALUES (current_user, session_user, nextval('app.free'));
