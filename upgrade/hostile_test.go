package upgrade_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// words are all that a superuser reads of ours: what sessions are called and
// type, what functions, triggers, settings and the control schema's tables hold.
const words = `WITH text (line) AS (
		SELECT application_name FROM pg_stat_activity UNION SELECT query FROM pg_stat_activity
		UNION SELECT prosrc FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace UNION SELECT pg_get_triggerdef(oid) FROM pg_trigger
		UNION SELECT unnest(setconfig) FROM pg_db_role_setting UNION SELECT setting FROM pg_settings
		UNION SELECT x.line::text FROM pg_class c CROSS JOIN LATERAL xpath('//text()', query_to_xml(format('SELECT * FROM %s', c.oid::regclass), true, false, '')) AS v (texts),
			LATERAL unnest(v.texts) AS x (line) WHERE c.relnamespace = 'pgumbra'::regnamespace AND c.relkind = 'r' AND c.relname <> 'run')
	SELECT DISTINCT word FROM (SELECT line AS word FROM text WHERE length(line) < 200
		UNION ALL SELECT m.word[1] FROM text, regexp_matches(line, '[[:alnum:]_./-]+', 'g') AS m (word)
		UNION ALL SELECT id::text FROM pgumbra.run) all_words WHERE word <> ''`

// hostile opens a session that says of itself whatever it has found.
type hostile struct {
	t    *testing.T
	dsn  string
	said []string
}

// sets are settings that a session of ours has, or had once.
const sets = `SELECT set_config('application_name', 'pgumbra/work', false), set_config('pgumbra.replay', $1, false), set_config('pgumbra.session', $1, false)`

// writes tries a statement once with each word, and counts how often it passed.
func (h hostile) writes(sql string) (passed int) {
	h.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, h.dsn)
	must(h.t, err)
	defer func() { _ = conn.Close(ctx) }()
	for _, word := range h.said {
		_, err := conn.Exec(ctx, sets, word)
		must(h.t, err)
		if _, err := conn.Exec(ctx, sql); err == nil {
			passed++
		}
	}
	return passed
}

// TestNobodyPassesForOneOfOurSessions: neither at the write block of the shadow nor at
// the old side's fence, and no change of his is left out by the reverse capture.
func TestNobodyPassesForOneOfOurSessions(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	eachPlace(t, func(t *testing.T, remote string) {
		ctx := limited(t, 2*time.Minute)
		w := build(t, history{structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n`,
			migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"}, remote: remote})
		w.run(ctx, upgrade.Options{Until: control.Following})
		h := hostile{t: t, dsn: w.served, said: append(lines(t, w.served, words), lines(t, w.production, words)...)}
		for _, sql := range []string{"UPDATE pgumbra_up_shop.a SET v = 0", "TRUNCATE pgumbra_up_shop.a"} {
			if n := h.writes(sql); n > 0 {
				t.Errorf("%s passed with %d of %d words", sql, n, len(h.said))
			}
		}
		if n := (hostile{t: t, dsn: w.production, said: h.said}).writes("ALTER TABLE shop.a ADD COLUMN x int; ALTER TABLE shop.a DROP COLUMN x"); n > 0 {
			t.Errorf("DDL on a captured table passed with %d of %d words", n, len(h.said))
		}
		w.run(ctx, upgrade.Options{Cutover: true})
		h.said = append(h.said, lines(t, w.served, words)...)
		if n := h.writes("INSERT INTO shop.a SELECT max(id) + 1 FROM shop.a"); n != len(h.said) {
			t.Errorf("%d of %d writes", n, len(h.said))
		}
		var journal string
		must(t, one(w.served, `SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'pgumbra'::regnamespace AND relname ~ '^reverse_[0-9]+_[0-9]+_a$'`, &journal))
		var n int
		must(t, one(w.served, "SELECT count(*) FROM "+journal, &n))
		if n != len(h.said) {
			t.Errorf("%d of %d writes are in the reverse journal", n, len(h.said))
		}
		old, dsn := "shop.a", w.production
		if remote == "" {
			old = "pgumbra_up_old_shop.a"
		}
		if n := (hostile{t: t, dsn: dsn, said: h.said}).writes("DELETE FROM " + old); n > 0 {
			t.Errorf("the old side took %d writes", n)
		}
	})
}

// TestClientThatIsCalledLikeUsIsWaitedFor: at the cutover his snapshot counts as
// anybody's, and his session is not ended as a dead leader's.
func TestClientThatIsCalledLikeUsIsWaitedFor(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, v int); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"}, planFile: "cutover: {attempts: 1}\n"})
	w.run(ctx, upgrade.Options{Until: control.Following})
	client, err := pgx.Connect(ctx, w.production)
	must(t, err)
	defer func() { _ = client.Close(ctx) }()
	_, err = client.Exec(ctx, "SET application_name = 'pgumbra/work'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
	must(t, err)
	pid := client.PgConn().PID()
	exec(t, w.production, fmt.Sprintf("UPDATE pgumbra.leader SET backends = '{%d}', started = '{2000-01-01}'", pid)) // a pid that was given again
	if err := upgrade.Run(ctx, w.file(), upgrade.Options{Cutover: true, Once: true, Log: w.log}); err == nil {
		t.Error("swapped under an old snapshot")
	}
	_, err = client.Exec(ctx, "COMMIT")
	must(t, err)
	w.run(ctx, upgrade.Options{Cutover: true})
}

// hijacking are operators that fit the arguments of a statement of ours better than
// PostgreSQL's own, whose function tells when it runs with a superuser's rights. Whoever
// may create in a schema of the search_path can make them.
const hijacking = `SET ROLE hijacker; DO $do$ DECLARE a text; b text; op text; n int := 0;
	types text[] := ARRAY['text', 'varchar', 'name', 'oid', 'regclass', 'regnamespace', 'xid', 'int4', 'int8', '"char"', 'text[]'];
BEGIN
	FOREACH a IN ARRAY types LOOP FOREACH b IN ARRAY types LOOP FOREACH op IN ARRAY ARRAY['=', '<>', '||'] LOOP
		CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_operator WHERE oprname = op AND oprnamespace = 'pg_catalog'::regnamespace AND oprleft = a::regtype AND oprright = b::regtype);
		n := n + 1;
		EXECUTE format($f$ CREATE FUNCTION shop.o%s(%s, %s) RETURNS %s LANGUAGE plpgsql SET search_path = pg_catalog AS
			'BEGIN IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN RAISE EXCEPTION ''hijacked''; END IF; RETURN NULL; END';
			CREATE OPERATOR shop.%s (LEFTARG = %2$s, RIGHTARG = %3$s, FUNCTION = shop.o%1$s) $f$, n, a, b, CASE op WHEN '||' THEN 'text' ELSE 'bool' END, op);
	END LOOP; END LOOP; END LOOP;
END $do$`

// TestOperatorsOfOthersAreNotRun: made while a run follows, they are called by no
// statement of replay, proof and verify, nor by what looks at production; and they stand
// against the cutover, which would leave them behind.
func TestOperatorsOfOthersAreNotRun(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{structure: `CREATE SCHEMA shop; CREATE TABLE shop.a (id varchar PRIMARY KEY, v text, n numeric); INSERT INTO shop.a SELECT n, n, n FROM generate_series(1, 100) n;
			CREATE TABLE shop.b (v varchar); INSERT INTO shop.b SELECT n FROM generate_series(1, 10) n;
			DO $$ BEGIN CREATE ROLE hijacker; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; GRANT USAGE, CREATE ON SCHEMA shop TO hijacker;
			DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = shop, public', current_database()); END $$`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int; ALTER TABLE shop.b ADD COLUMN w int;"}, planFile: "cutover: {attempts: 1}\n"})
	// Were the role not trusted, its code would stop the run at once.
	w.edit("production: {", "production: {trust: [hijacker], ")
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, hijacking)
	exec(t, w.production, `UPDATE shop.a SET v = 'x'; UPDATE shop.b SET v = 'y'; INSERT INTO shop.a VALUES ('new')`)
	w.run(ctx, upgrade.Options{Until: control.Following})
	if _, err := upgrade.Verify(ctx, w.file(), w.log); err != nil {
		t.Error(err)
	}
	if err := upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}); err == nil {
		t.Error("swapped, and what was made in mid-run was left behind")
	} else if strings.Contains(err.Error(), "hijacked") {
		t.Error(err)
	}
}
