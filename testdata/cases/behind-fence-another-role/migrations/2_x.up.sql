UPDATE app.t t SET told = s.n || ' ' || t.took FROM (SELECT grp, count(*) AS n FROM app.t GROUP BY 1) s WHERE s.grp = t.grp;
CREATE TABLE app.who AS SELECT current_user::text AS now, session_user::text AS session, (SELECT max(took) FROM app.t)::text AS longest;
