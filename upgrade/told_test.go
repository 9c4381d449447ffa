package upgrade_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// toldHistory has one of everything that makes a run send statements of its own.
var toldHistory = history{
	structure: `CREATE SCHEMA shop; SET search_path = shop;
		CREATE TYPE state AS ENUM ('new', 'paid');
		CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL, mail text UNIQUE);
		CREATE SEQUENCE free;
		CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customer, total numeric(10,2), state state NOT NULL DEFAULT 'new');
		CREATE INDEX orders_customer ON orders (customer);
		CREATE STATISTICS orders_stat (dependencies) ON customer, total FROM orders;
		CREATE TABLE part (region text, id int, v int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
		CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu'); CREATE TABLE part_us PARTITION OF part FOR VALUES IN ('us');
		CREATE TABLE log (line text); CREATE TABLE tariff (code text PRIMARY KEY, rate int);
		CREATE TABLE thing (id int PRIMARY KEY, v int); CREATE TABLE car (PRIMARY KEY (id)) INHERITS (thing);
		CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER stamp BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
		CREATE RULE quiet AS ON DELETE TO tariff DO ALSO NOTHING;
		CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(total) FROM orders GROUP BY 1;
		CREATE VIEW paid AS SELECT * FROM orders WHERE state = 'paid';
		CREATE SCHEMA outside; CREATE TABLE outside.country (code text PRIMARY KEY);
		INSERT INTO customer (name, mail) SELECT 'n' || g, g || '@x' FROM generate_series(1, 50) g;
		INSERT INTO orders (customer, total) SELECT 1 + g % 50, g FROM generate_series(1, 500) g;
		INSERT INTO part SELECT CASE g % 2 WHEN 0 THEN 'eu' ELSE 'us' END, g, g FROM generate_series(1, 100) g;
		INSERT INTO log SELECT 'l' || g FROM generate_series(1, 20) g; INSERT INTO car VALUES (1, 1); INSERT INTO tariff VALUES ('a', 1);
		REFRESH MATERIALIZED VIEW totals; RESET search_path;`,
	migrations: []string{`ALTER TABLE shop.orders ADD COLUMN cents bigint; UPDATE shop.orders SET cents = total * 100;
		ALTER TABLE shop.part ALTER COLUMN v TYPE bigint;
		CREATE TABLE shop.kind (id int PRIMARY KEY, name text); INSERT INTO shop.kind VALUES (1, 'one');
		ALTER TABLE shop.orders ADD CONSTRAINT positive CHECK (total > 0);
		ALTER TABLE shop.tariff ADD FOREIGN KEY (code) REFERENCES outside.country NOT VALID`},
	planFile: "tables: {shop.tariff: {freeze: true}}\n",
}

// TestDryRunTellsWhatRuns records every statement that a run sends, from its first to
// finish, in production and to another database, and looks for each that makes, changes
// or locks something in the steps that plan shows; and for each lock that it holds on
// production's tables in those of its phase.
func TestDryRunTellsWhatRuns(t *testing.T) {
	t.Parallel()
	server := recording(limited(t, time.Minute), t)
	for name, w := range testcontainers.SomeOf(t, map[string]way{"here": {}, "another database": {remote: true}}, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 3*time.Minute)
			if seen, told := everything(ctx, t, server, w).tells(ctx, server); seen < 200 || told < 100 {
				t.Errorf("%d acts were recorded, %d told", seen, told)
			}
		})
	}
}

// TestDryRunTellsWhatEachCaseRuns is the same of the cases: each is gone through in
// production, to another database and behind the fence, as it says.
func TestDryRunTellsWhatEachCaseRuns(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	type run struct {
		folder
		way
	}
	var all []run
	for _, c := range cases(t) {
		for _, w := range c.places() {
			if c.expect.Result == "blocker" {
				continue
			}
			all = append(all, run{c, w})
			if c.setup.Build == "both" {
				w.behind = true
				all = append(all, run{c, w.by(", behind the fence", "_behind", nil)})
			}
		}
	}
	for _, r := range testcontainers.Some(t, all, 1) {
		t.Run(filepath.Base(r.dir)+r.name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 3*time.Minute)
			server := recording(ctx, t)
			r.pair = &pair{production: server, shadow: server}
			if seen, told := r.build(ctx, t, r.way).tells(ctx, server); seen < 20 || told < 20 {
				t.Errorf("%d acts were recorded, %d told", seen, told)
			}
		})
	}
}

// recording is a server of its own, whose log has every statement.
func recording(ctx context.Context, t *testing.T) *testcontainers.Server {
	t.Helper()
	server, err := testcontainers.Start(ctx, testcontainers.Options{Settings: map[string]string{
		"logging_collector": "on", "log_destination": "csvlog", "log_filename": "told", "log_statement": "all", "log_rotation_size": "0"}})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	return server
}

// everything is production with one of everything that makes a run send statements of
// its own. Another database has no schemas but those that move.
func everything(ctx context.Context, t *testing.T, server *testcontainers.Server, w way) *world {
	h := toldHistory
	h.here = server.DSN("everything")
	if w.remote {
		h.here, h.remote = server.DSN("everything_from"), server.DSN("everything_to")
		h.migrations = slices.Clone(h.migrations)
		h.migrations[0] = h.migrations[0][:strings.LastIndex(h.migrations[0], ";")]
		must(t, try(ctx, server.DSN("postgres"), "CREATE DATABASE everything_to"))
	}
	must(t, try(ctx, server.DSN("postgres"), "CREATE DATABASE "+database(t, h.here)))
	return build(t, h)
}

func database(t *testing.T, dsn string) string {
	u, err := url.Parse(dsn)
	must(t, err)
	return strings.TrimPrefix(u.Path, "/")
}

// tells goes through a run, and holds what it sends against what its plan tells. It
// counts what it found of both.
func (w *world) tells(ctx context.Context, server *testcontainers.Server) (recordedActs, toldActs int) {
	t := w.t
	t.Helper()
	plan, err := upgrade.Plan(ctx, w.file(), slog.New(slog.DiscardHandler))
	must(t, err)
	if !plan.Runnable {
		t.Fatalf("%+v", plan.Findings)
	}
	untold := w.lookAtLocks(ctx, plan)
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	for lock := range untold() {
		t.Errorf("nobody told of %s", lock)
	}
	told := map[string]bool{}
	for _, s := range plan.Steps {
		if s.Lock == "" || s.Waits == "" {
			t.Errorf("%q does not tell its lock or who waits", s.Title)
		}
		for _, text := range s.SQL {
			for _, act := range actsOf(t, text) {
				told[act] = true
			}
		}
	}
	seen := map[string]string{}
	for _, text := range recorded(t, server, database(t, w.production), database(t, w.served)) {
		for _, act := range actsOf(t, text) {
			if seen[act] == "" {
				seen[act] = text
			}
		}
	}
	for act, text := range seen {
		afterwards := plan.Behind != nil && strings.HasPrefix(act, "VACUUM (ANALYZE) ") // of what they make there
		if !told[act] && !afterwards && !told[likewise(plan, act, told)] {
			t.Errorf("nobody told of %s, by\n%.300s", act, text)
		}
	}
	return len(seen), len(told)
}

var guarded = regexp.MustCompile(`CREATE TRIGGER pgumbra_guard (.*)`)

// likewise is an act on a table that migrations have made behind the fence by a name of the
// rows', or that could not be seen before, as it is told of a table with a name: the plan
// cannot know more than that there may be such.
func likewise(plan *plans.Plan, act string, told map[string]bool) string {
	says := func(text string) bool {
		return slices.ContainsFunc(plan.Steps, func(s plans.Step) bool { return slices.Contains(s.SQL, text) })
	}
	unseen := says(cutover.ToldUnseen)
	if !unseen && !says(cutover.ToldOfRows) {
		return act
	}
	act = regexp.MustCompile(`(read_guard_<run>)_\d+`).ReplaceAllString(act, "${1}_0")
	if unseen { // what takes the lock on a view
		act = regexp.MustCompile(`^ALTER MATERIALIZED VIEW (.*) OWNER TO$`).ReplaceAllString(act, "LOCK $1 IN ACCESS EXCLUSIVE")
	}
	for known := range told {
		of := guarded.FindStringSubmatch(known)
		if of == nil || strings.HasPrefix(of[1], "pgumbra_") { // the trial's
			continue
		}
		schema, _, _ := strings.Cut(of[1], ".")
		as := regexp.MustCompile(`\b`+regexp.QuoteMeta(schema)+`\.\w+`).ReplaceAllStringFunc(act, func(name string) string {
			if !unseen && plan.Behind.Mentions(strings.TrimPrefix(name, schema+".")) {
				return name
			}
			return of[1]
		})
		if told[as] {
			return as
		}
	}
	return act
}

// modes of locks on tables, the weaker first.
var modes = []string{"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}

// locksTold are the strongest lock that the steps of each phase tell.
func locksTold(plan *plans.Plan) map[string]int {
	told := map[string]int{}
	for _, s := range plan.Steps {
		for n, mode := range modes {
			if strings.HasPrefix(s.Lock, mode) && !strings.Contains(s.Lock, "the shadow") {
				told[s.Phase] = max(told[s.Phase], n)
			}
		}
	}
	return told
}

// lookAtLocks looks all the time which locks the run has on the tables that
// were there when it began, those of other schemas too, unless event triggers write there
// of which a finding warns. untold ends that, and returns those which no step of their
// phase tells.
func (w *world) lookAtLocks(ctx context.Context, plan *plans.Plan) (untold func() map[string]bool) {
	w.t.Helper()
	told, found := locksTold(plan), map[string]bool{}
	conn, err := pgx.Connect(ctx, w.production)
	must(w.t, err)
	must(w.t, pg.ExecScript(ctx, conn, "SET log_statement = none"))
	var tables []uint32
	moving, _ := plan.SchemaNames()
	warned := slices.ContainsFunc(plan.Findings, func(f plans.Finding) bool { return f.Code == "event-trigger" })
	must(w.t, conn.QueryRow(ctx, `SELECT coalesce(array_agg(c.oid), '{}') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname !~ '^(pg_|pgumbra|information_schema$)' AND (n.nspname = ANY ($1) OR NOT $2) AND c.relkind IN ('r', 'p')`, moving, warned).Scan(&tables))
	ctx, end := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer conn.Close(context.WithoutCancel(ctx))
		for ticks := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return nil
			case <-ticks.C:
			}
			locks, err := locksHeld(ctx, conn, tables)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			for _, l := range locks {
				if n := slices.Index(modes, l.Mode); n > max(told[l.Phase], 0) {
					found[l.Phase+": "+l.Mode+" on "+l.Table+", by "+l.Query] = true
				}
			}
		}
	})
	return func() map[string]bool {
		end()
		must(w.t, group.Wait())
		return found
	}
}

type lockHeld struct{ Phase, Table, Mode, Query string }

// locksHeld are those of the run that others could wait for.
func locksHeld(ctx context.Context, conn *pgx.Conn, tables []uint32) ([]lockHeld, error) {
	var begun bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('pgumbra.run') IS NOT NULL").Scan(&begun); err != nil || !begun {
		return nil, err
	}
	rows, err := conn.Query(ctx, `SELECT (SELECT phase::text FROM pgumbra.run ORDER BY id DESC LIMIT 1), l.relation::regclass::text,
			upper(regexp_replace(replace(l.mode, 'Lock', ''), '(?<=[a-z])([A-Z])', ' \1', 'g')), left(a.query, 200)
		FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.granted AND l.relation = ANY ($1) AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND a.application_name LIKE 'pgumbra%' AND l.mode <> 'AccessShareLock' AND EXISTS (SELECT FROM pgumbra.run)`, tables)
	if err != nil {
		return nil, unlessDropped(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[lockHeld])
	return found, unlessDropped(err)
}

// unlessDropped: finish drops the record while we look.
func unlessDropped(err error) error {
	if state := pg.State(err); state == pgerrcode.UndefinedTable || state == pgerrcode.InvalidSchemaName {
		return nil
	}
	return err
}

// recorded is what sessions of the run have sent, as the server's log has it.
func recorded(t *testing.T, server *testcontainers.Server, databases ...string) []string {
	t.Helper()
	var text []byte
	must(t, one(server.DSN("postgres"), `SELECT pg_read_binary_file('log/told.csv')`, &text)) // in the encodings of all databases
	lines := csv.NewReader(bytes.NewReader(text))
	lines.FieldsPerRecord = -1
	var all []string
	for {
		line, err := lines.Read()
		if err == io.EOF {
			return all
		}
		must(t, err)
		app, message := line[22], line[13]
		if !strings.HasPrefix(app, "pgumbra") || slices.Contains([]string{"pgumbra/plan", "pgumbra/scratch", "pgumbra/validate"}, app) || !slices.Contains(databases, line[2]) {
			continue
		}
		if sql := regexp.MustCompile(`(?s)^(?:statement|execute [^:]*): (.*)$`).FindStringSubmatch(message); sql != nil {
			all = append(all, inUTF8(sql[1]))
		}
	}
}

// inUTF8 is a text as it is, or one of a LATIN1 database.
func inUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	letters := make([]rune, len(text)) // LATIN1 are the first letters of Unicode
	for n := range len(text) {
		letters[n] = rune(text[n])
	}
	return string(letters)
}

// Numbers that only a run knows: its own.
var runNumber = regexp.MustCompile(`(pgumbra_|journal_|forward_|reverse_|gate_|guard_|fence_|freeze_|ours_|limit_|valve_|limited_|fingerprint_|read_guard_|place_)(\d+|<run>)`)

var (
	spaces = regexp.MustCompile(`\s+`)
	// A name, as it is written: quoted where it must be.
	name     = `(?:"(?:[^"]|"")*"|[^\s(,;."]+)`
	object   = `(` + name + `(?:\.` + name + `)*)`
	inQuotes = regexp.MustCompile(`"((?:[^"]|"")*)"`)
	// What is done, by the beginning of the statement, and to what.
	acts = []*regexp.Regexp{
		regexp.MustCompile(`^(CREATE) (?:OR REPLACE |CONSTRAINT )*(TRIGGER) ` + object + ` .*? ON ` + object),
		regexp.MustCompile(`^(DROP) (TRIGGER) (?:IF EXISTS )?` + object + ` ON ` + object),
		regexp.MustCompile(`^(CREATE|DROP) (?:OR REPLACE |UNIQUE |UNLOGGED )*(TABLE|INDEX|VIEW|FUNCTION|STATISTICS|SEQUENCE|SCHEMA|TYPE|MATERIALIZED VIEW|RULE|EVENT TRIGGER|POLICY|EXTENSION) (?:IF NOT EXISTS |IF EXISTS )?` + object),
		regexp.MustCompile(`^(ALTER) (TABLE|INDEX|VIEW|FUNCTION|SEQUENCE|SCHEMA|TYPE|MATERIALIZED VIEW|EVENT TRIGGER|EXTENSION) (?:ONLY |IF EXISTS )*` + object + ` (\w+(?: \w+)?)`),
		regexp.MustCompile(`^(COMMENT ON) (TABLE|VIEW|FUNCTION|SCHEMA|MATERIALIZED VIEW|SEQUENCE) ` + object),
		regexp.MustCompile(`^(REFRESH MATERIALIZED VIEW|VACUUM \(ANALYZE\)|ANALYZE|TRUNCATE|COPY) (?:ONLY )?` + object),
		regexp.MustCompile(`(?:^|[ (])(INSERT INTO|DELETE FROM|UPDATE) (?:ONLY )?` + object),
		regexp.MustCompile(`^(GRANT|REVOKE) .*? (ON .*?) (?:TO|FROM)`),
		regexp.MustCompile(`^SELECT (?:pg_catalog\.)?(setval)\('?([^',]*)`),
	}
	changesNothing = regexp.MustCompile(`^(?i:SELECT|WITH|VALUES|TABLE|EXPLAIN|SHOW|SET|RESET|DISCARD|BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|DECLARE|FETCH|MOVE|CLOSE|PREPARE|DEALLOCATE|LISTEN|UNLISTEN|NOTIFY|EXECUTE)\b|^COPY \(`)
	// ofSessions are a session's own temporary tables, and what ends one of ours.
	ofSessions    = regexp.MustCompile(`(?s)^CREATE TEMPORARY TABLE |^DO .*(?:relpersistence = '+t'|pg_terminate_backend)`)
	droppedTables = regexp.MustCompile(`^DROP TABLE (.*, .*?)(?: CASCADE)?$`)
	locked        = regexp.MustCompile(`^LOCK TABLE (.*) IN ([A-Z ]+) MODE`)
	listed        = regexp.MustCompile(`(?:^|, )(?:ONLY )?` + object)
)

// unquoted are the names of an act without the quotes that some texts write where others do not.
func unquoted(act string) string { return inQuotes.ReplaceAllString(act, "$1") }

// actsOf are the acts of a text: of each of its statements that makes, changes or
// locks something besides rows of the control schema, what it does to what.
func actsOf(t *testing.T, text string) (all []string) {
	t.Helper()
	statements, _, err := syntax.Script("told.sql", text)
	must(t, err)
	for _, s := range statements {
		sql := strings.TrimSpace(spaces.ReplaceAllString(s.SQL, " "))
		sql = runNumber.ReplaceAllString(sql, "${1}<run>")
		if l := locked.FindStringSubmatch(sql); l != nil {
			if l[2] == "ACCESS SHARE" {
				continue
			}
			for _, name := range listed.FindAllStringSubmatch(l[1], -1) {
				all = append(all, "LOCK "+unquoted(name[1])+" IN "+l[2])
			}
			continue
		}
		if l := droppedTables.FindStringSubmatch(sql); l != nil { // whose partitions go along is left out of the next list
			for _, name := range listed.FindAllStringSubmatch(l[1], -1) {
				all = append(all, "DROP TABLE "+unquoted(name[1]))
			}
			continue
		}
		all = append(all, actOf(sql)...)
	}
	return slices.DeleteFunc(all, ofControl)
}

// actOf is what one statement does. Of those that nobody knows it is the statement itself:
// what is not told shows.
func actOf(sql string) []string {
	for _, a := range acts {
		if found := a.FindStringSubmatch(sql); found != nil {
			return []string{unquoted(strings.Join(found[1:], " "))}
		}
	}
	if sql == "" || changesNothing.MatchString(sql) || ofSessions.MatchString(sql) {
		return nil
	}
	return []string{sql}
}

// ofControl: rows, columns and indexes of the control schema's tables, of which the dry
// run tells once that they are made. Objects that a run makes there have its number.
func ofControl(act string) bool {
	return act == "CREATE INDEX run_one_live" || strings.Contains(act, " pgumbra.") && !strings.Contains(act, "<run>")
}
