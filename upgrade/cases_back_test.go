package upgrade_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/upgrade"
)

// back goes there, lets clients work in the new structure, and comes back with what
// they wrote, rows flowing from new-shaped tables to old-shaped ones. The old side must
// be what the plan's inverse makes of the new one: the twin, which stays at the old
// version, is given that, and compared.
func (f *fixture) back(ctx context.Context) {
	f.t.Helper()
	f.follow(ctx)
	f.run(ctx, upgrade.Options{Cutover: true})
	var behind bool
	must(f.t, one(f.production, `SELECT plan->'behind_fence' IS NOT NULL AND flow <> 'reverse' FROM pgumbra.run`, &behind))
	if behind {
		f.t.Skip("migrations ran behind the fence: no way back is known")
	}
	stood := f.standings(ctx)
	f.churn(ctx)
	f.script(ctx, f.served, "traffic-new.sql")
	leader := f.leads(ctx)
	f.comesUp(ctx)
	verdicts, err := upgrade.Verify(ctx, f.file(), f.log)
	must(f.t, err)
	if !upgrade.AllEqual(verdicts) {
		f.t.Errorf("verify: %+v", verdicts)
	}
	leaveOut := append(f.bringBack(ctx, stood), f.expect.LeaveOut...)
	must(f.t, upgrade.Rollback(ctx, f.file(), upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: f.log}))
	must(f.t, leader.Wait())
	must(f.t, upgrade.Finish(ctx, f.file(), cutover.DropOld, upgrade.Purge, f.log))
	f.served = f.production
	f.same(ctx, leaveOut...)
}

// comesUp waits until the old side is current. A table that waits for a row which the old
// side refuses would wait for ever.
func (f *fixture) comesUp(ctx context.Context) {
	f.t.Helper()
	polled(ctx, f.t, func() bool {
		s, err := upgrade.ReadStatus(ctx, f.file())
		must(f.t, err)
		for _, r := range s.Refused {
			if r.Flow == "waits" {
				f.t.Fatalf("the old side refuses a row: %+v", r)
			}
		}
		return s.Leader != nil && s.Journal.Pending == 0 && len(s.Tables) > 0
	})
}

// churn changes some rows of each table of the new side, whatever it is: touches them,
// gives them values that another row has, deletes some, and makes some anew. What a
// constraint, a policy or a trigger of the case refuses is let be.
func (f *fixture) churn(ctx context.Context) {
	f.t.Helper()
	conn, err := pgx.Connect(ctx, f.served)
	must(f.t, err)
	defer func() { _ = conn.Close(ctx) }()
	var rows, changed int64
	_, err = conn.Exec(ctx, churning)
	must(f.t, err)
	must(f.t, conn.QueryRow(ctx, `SELECT * FROM pg_temp.churn($1, $2)`, f.oracle.Schemas, f.file().Migrations.Table).Scan(&rows, &changed))
	f.t.Logf("%d rows on the new side, %d changes", rows, changed)
	if rows > 0 && changed == 0 {
		f.t.Error("nothing could be changed on the new side: its way back proves nothing")
	}
}

const churning = `CREATE FUNCTION pg_temp.churn(schemas text[], version_table text, OUT rows bigint, OUT changed bigint) LANGUAGE plpgsql AS $churn$
	DECLARE t record; change text; n bigint;
	BEGIN
		SET CONSTRAINTS ALL IMMEDIATE; -- a deferred one would refuse the commit
		rows := 0; changed := 0;
		FOR t IN SELECT format('%I.%I', s.nspname, c.relname) AS name, min(quote_ident(a.attname)) AS one, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS every,
				coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey))), '') AS loose
			FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
			WHERE s.nspname = ANY (schemas) AND c.relkind = 'r' AND c.relname <> coalesce(nullif(split_part(version_table, '.', 2), ''), nullif(version_table, ''), 'schema_migrations')
			GROUP BY c.oid, s.nspname, c.relname ORDER BY c.oid
		LOOP
			EXECUTE 'SELECT count(*) FROM ONLY ' || t.name INTO n;
			rows := rows + n;
			FOREACH change IN ARRAY ARRAY[
				'UPDATE ONLY %1$s SET %2$s = %2$s WHERE ctid IN (SELECT ctid FROM ONLY %1$s ORDER BY ctid LIMIT 4)',
				'UPDATE ONLY %1$s SET (%4$s) = (SELECT %4$s FROM ONLY %1$s ORDER BY ctid LIMIT 1) WHERE ctid IN (SELECT ctid FROM ONLY %1$s ORDER BY ctid OFFSET 4 LIMIT 3)',
				'DELETE FROM ONLY %1$s WHERE ctid = (SELECT ctid FROM ONLY %1$s ORDER BY ctid OFFSET 2 LIMIT 1)',
				'WITH gone AS (DELETE FROM ONLY %1$s WHERE ctid = (SELECT ctid FROM ONLY %1$s ORDER BY ctid OFFSET 3 LIMIT 1) RETURNING %3$s) INSERT INTO %1$s (%3$s) SELECT %3$s FROM gone']
			LOOP
				CONTINUE WHEN change LIKE '%%%%4$s%%' AND t.loose = '';
				BEGIN
					EXECUTE format(change, t.name, t.one, t.every, t.loose);
					GET DIAGNOSTICS n = ROW_COUNT;
					changed := changed + n;
				EXCEPTION WHEN integrity_constraint_violation OR raise_exception OR insufficient_privilege OR feature_not_supported OR with_check_option_violation OR syntax_error THEN
					NULL;
				END;
			END LOOP;
		END LOOP;
	END $churn$`

// bringBack gives the twin what the plan's inverse makes of the new side's rows, and
// where sequences stand there, and names the columns that it cannot tell.
func (f *fixture) bringBack(ctx context.Context, stood map[pg.Name]string) (untold []string) {
	f.t.Helper()
	from, err := pgx.Connect(ctx, f.served)
	must(f.t, err)
	defer func() { _ = from.Close(ctx) }()
	to, err := pgx.Connect(ctx, f.oracleDSN)
	must(f.t, err)
	defer func() { _ = to.Close(ctx) }()
	record, err := pgx.Connect(ctx, f.production)
	must(f.t, err)
	defer func() { _ = record.Close(ctx) }()
	run, err := control.Find(ctx, record, f.file().Name)
	must(f.t, err)
	inverse := f.located(ctx, run)
	settings := map[string]string{"extra_float_digits": "3", "bytea_output": "hex", "intervalstyle": "postgres"} // the database may have others
	maps.Copy(settings, inverse.Session)
	settings["search_path"] = inverse.SearchPath
	for name, value := range settings {
		for _, conn := range []*pgx.Conn{from, to} {
			_, err = conn.Exec(ctx, `SELECT set_config($1, $2, false)`, name, value)
			must(f.t, err)
		}
	}
	_, err = to.Exec(ctx, `SET session_replication_role = replica`) // neither triggers, nor rules, nor foreign keys
	must(f.t, err)
	for i := range inverse.Tables {
		untold = append(untold, f.bringTable(ctx, from, to, &inverse.Tables[i], only(inverse, &inverse.Tables[i]))...)
	}
	f.bringSequences(ctx, from, to, inverse, stood)
	for _, v := range run.Plan.MaterializedViews() { // a rollback fills those that the new side has too
		if v.Production != (pg.Name{}) {
			_, err = to.Exec(ctx, fmt.Sprintf(refreshing, pg.Literal(v.Production.Quoted())), pgx.QueryExecModeSimpleProtocol)
			must(f.t, err)
		}
	}
	return untold
}

// located is a run's way back with the names that types have since the swap.
func (f *fixture) located(ctx context.Context, run *control.Run) *plans.Plan {
	f.t.Helper()
	inverse := run.Plan.Inverse()
	from, err := pgxpool.New(ctx, f.served)
	must(f.t, err)
	defer from.Close()
	to, err := pgxpool.New(ctx, f.production)
	must(f.t, err)
	defer to.Close()
	must(f.t, capture.Locate(ctx, from, to, inverse))
	return inverse
}

const refreshing = `DO $$ DECLARE v regclass := %s; BEGIN
	IF (SELECT relispopulated FROM pg_class WHERE oid = v) THEN EXECUTE format('REFRESH MATERIALIZED VIEW %%s', v); END IF; END $$`

func only(p *plans.Plan, t *plans.Table) string {
	if p.Sources[t.Source].Kind == plans.Partitioned {
		return ""
	}
	return "ONLY "
}

// bringTable replaces a table's rows in the twin. What the new side does not hold stays,
// of rows with a key.
func (f *fixture) bringTable(ctx context.Context, from, to *pgx.Conn, t *plans.Table, only string) (untold []string) {
	f.t.Helper()
	var told, kept, expressions []string
	for _, c := range t.Columns {
		switch {
		case c.Generated:
			continue
		case c.Volatile:
			kept = append(kept, c.Shadow)
		default:
			told, expressions = append(told, c.Shadow), append(expressions, assigned(c))
		}
		if c.Uncompared || c.Alike || c.Volatile && len(t.Key) == 0 {
			untold = append(untold, t.Final.Schema+"."+t.Final.Name+"."+c.Shadow)
		}
	}
	own, where := cmp.Or(t.Own, "true"), cmp.Or(t.Where, "true")
	own = strings.ReplaceAll(own, pg.Ident(t.Shadow.Schema)+".", pg.Ident(t.Final.Schema)+".") // the twin has its tables there
	target, stage := t.Final.Quoted(), "came"
	exec := func(sql string) {
		f.t.Helper()
		if _, err := to.Exec(ctx, sql); err != nil {
			f.t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(fmt.Sprintf("DROP TABLE IF EXISTS %s; CREATE TEMP TABLE %s AS SELECT %s FROM %s LIMIT 0", stage, stage, pg.Idents(told), target))
	var rows bytes.Buffer
	_, err := from.PgConn().CopyTo(ctx, &rows, fmt.Sprintf("COPY (SELECT %s FROM %s%s WHERE %s) TO STDOUT", strings.Join(expressions, ", "), only, t.Production.Quoted(), where))
	must(f.t, err)
	_, err = to.PgConn().CopyFrom(ctx, &rows, fmt.Sprintf("COPY %s FROM STDIN", stage))
	must(f.t, err)
	if len(t.Key) == 0 || len(kept) == 0 {
		exec(fmt.Sprintf("DELETE FROM %s%s WHERE %s", only, target, own))
		exec(fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %[2]s FROM %s", target, pg.Idents(told), stage))
		return untold
	}
	var same []string
	for _, k := range t.Key {
		same = append(same, fmt.Sprintf("c.%[1]s = o.%[1]s", pg.Ident(k.Shadow)))
	}
	match := strings.Join(same, " AND ")
	exec(fmt.Sprintf("DROP TABLE IF EXISTS stays; CREATE TEMP TABLE stays AS SELECT c.*, %s FROM %s c JOIN %s%s o ON %s", "o."+strings.Join(quoted(kept), ", o."), stage, only, target, match))
	exec(fmt.Sprintf("DELETE FROM %s c USING %s%s o WHERE %s", stage, only, target, match))
	exec(fmt.Sprintf("DELETE FROM %s%s WHERE %s", only, target, own))
	exec(fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %[2]s FROM stays", target, pg.Idents(slices.Concat(told, kept))))
	exec(fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %[2]s FROM %s", target, pg.Idents(told), stage))
	return untold
}

// assigned is a value as the old column takes it: the twin gets it as text, which tells
// no numeric from an integer. Types of the case's own are cast in the expression.
func assigned(c plans.Column) string {
	if strings.Contains(c.Type, ".") || c.Type == "" {
		return c.Expression
	}
	return "(" + c.Expression + ")::" + c.Type
}

func quoted(names []string) (all []string) {
	for _, n := range names {
		all = append(all, pg.Ident(n))
	}
	return all
}

// standings are where the new side's sequences stand that go on for the old side's.
func (f *fixture) standings(ctx context.Context) map[pg.Name]string {
	f.t.Helper()
	record, err := pgx.Connect(ctx, f.production)
	must(f.t, err)
	defer func() { _ = record.Close(ctx) }()
	run, err := control.Find(ctx, record, f.file().Name)
	must(f.t, err)
	stood := map[pg.Name]string{}
	for _, s := range run.Plan.Inverse().Sequences {
		var at string
		must(f.t, one(f.served, "SELECT concat_ws(' ', last_value, is_called) FROM "+s.Production.Quoted(), &at))
		stood[s.Production] = at
	}
	return stood
}

// bringSequences lets the twin's go on from where the new side's stand, if these have
// moved.
func (f *fixture) bringSequences(ctx context.Context, from, to *pgx.Conn, inverse *plans.Plan, stood map[pg.Name]string) {
	f.t.Helper()
	for _, s := range inverse.Sequences {
		var last int64
		var called bool
		must(f.t, from.QueryRow(ctx, "SELECT last_value, is_called FROM "+s.Production.Quoted()).Scan(&last, &called))
		if !called || stood[s.Production] == fmt.Sprintf("%d t", last) {
			continue // nothing was drawn
		}
		_, err := to.Exec(ctx, `SELECT setval($1::text::regclass, $2)`, inverse.Final(s.Shadow).Quoted(), last)
		must(f.t, err)
	}
}
