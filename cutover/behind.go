package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// freed drops the temporary tables through which changes come to another
// database, of whatever session of ours, as far as they hold types of the
// user's: the migrations could not drop or change these. Nobody is at work in
// them, they are empty, and who needs one makes it again.
func freed(run *control.Run) []string {
	if run.Plan.Behind == nil {
		return nil
	}
	return []string{"DO " + pg.Literal(fmt.Sprintf(`DECLARE staging text; BEGIN
	FOR staging IN SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relpersistence = 't' AND c.relname LIKE 'pgumbra\_%d\_%%' AND EXISTS (SELECT FROM pg_catalog.pg_depend d
			WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.refclassid <> 'pg_catalog.pg_namespace'::pg_catalog.regclass)
	LOOP
		EXECUTE 'DROP TABLE ' || staging;
	END LOOP;
END`, run.ID))}
}

// foreignKey is one that the swap has made NOT VALID and that is to be validated
// after it. The migrations may rename it and its table, which keeps the oid, or
// change its column's type, which makes it anew under its name.
type foreignKey struct {
	OID   uint32 `json:"oid"`
	Table uint32 `json:"table"`
	Name  string `json:"name"`
}

func unvalidated(ctx context.Context, db pg.Querier, plan *plans.Plan) ([]foreignKey, error) {
	production, _ := plan.SchemaNames()
	rows, err := db.Query(ctx, `SELECT c.oid, c.conrelid, n.nspname::text, r.relname::text, c.conname::text
		FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
		WHERE c.contype = 'f' AND NOT c.convalidated AND c.conparentid = 0 AND n.nspname = ANY ($1)`, production)
	if err != nil {
		return nil, fmt.Errorf("list the foreign keys to validate: %w", err)
	}
	var all []foreignKey
	var k foreignKey
	var table pg.Name
	_, err = pgx.ForEachRow(rows, []any{&k.OID, &k.Table, &table.Schema, &table.Name, &k.Name}, func() error {
		if !plan.NeverValid(table, k.Name) {
			all = append(all, k)
		}
		return nil
	})
	return all, err
}

// validateMigrated validates what unvalidated listed and the migrations have
// left. VALIDATE takes SHARE UPDATE EXCLUSIVE on the referencing table and ROW
// SHARE on the referenced one, which no reader or writer waits for.
func (c *Cutover) validateMigrated(ctx context.Context) error {
	if c.Upgrade.Plan.Behind == nil {
		return nil
	}
	report, err := control.Outcome(ctx, c.Sides.Shadow, c.Upgrade)
	if err != nil {
		return err
	}
	statements, err := validations(ctx, c.Sides.Shadow, report)
	if err != nil {
		return fmt.Errorf("list the foreign keys to validate: %w", err)
	}
	for _, sql := range statements {
		if err := patiently(ctx, c.Sides.Shadow, sql); err != nil && pg.State(err) != pgerrcode.UndefinedTable {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// validations are the statements that validate what a swap's report lists.
func validations(ctx context.Context, db pg.Querier, report []byte) ([]string, error) {
	var made struct {
		Unvalidated []foreignKey `json:"unvalidated"`
	}
	if err := json.Unmarshal(report, &made); err != nil || len(made.Unvalidated) == 0 {
		return nil, err
	}
	var oids, tables []uint32
	var names []string
	for _, k := range made.Unvalidated {
		oids, tables, names = append(oids, k.OID), append(tables, k.Table), append(names, k.Name)
	}
	rows, err := db.Query(ctx, `SELECT pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.conrelid::pg_catalog.regclass, k.conname)
		FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::oid[]), pg_catalog.unnest($3::text[])) AS u (oid, "table", name)
		JOIN pg_catalog.pg_constraint k ON (k.oid = u.oid OR k.conrelid = u."table" AND k.conname = u.name) AND k.contype = 'f' AND NOT k.convalidated`,
		oids, tables, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// CodeMigrationFailed is the code of a blocker: a migration failed behind the
// fence, and all was rolled back.
const CodeMigrationFailed = "migration-failed"

// listUnvalidated notes what the swap has made NOT VALID, before the migrations change
// it.
func (a *attempt) listUnvalidated(ctx context.Context) (err error) {
	a.out.unvalidated, err = unvalidated(ctx, a.shadow.locker, a.plan)
	return err
}

// migrate runs the migrations for real, in the swapping transaction, wherever that is.
// A failure is theirs, and final: all is rolled back, and production goes on as if
// nothing had been.
func (a *attempt) migrate(ctx context.Context) error {
	m := &migrator{ctx: ctx, conn: a.shadow.locker, plan: a.plan, left: a.left}
	if v := a.plan.VersionTable; v != nil {
		m.table = &v.Name
	}
	err := m.run()
	a.out.Migrations = m.times
	var failed *MigrationError
	if errors.As(err, &failed) {
		return refuse(Blocker{Code: CodeMigrationFailed, Message: "behind the fence: " + failed.Error(), Lasting: true,
			Fix: "correct the rows in production, or pgumbra abort and correct the migration"})
	}
	if err != nil || !a.plan.Reversible() {
		return err
	}
	return a.wayBackWhole(ctx)
}

// vacuumMigrated gives the planner its statistics, and index-only scans their
// map, of tables that the migrations behind the fence made or wrote anew. Takes
// SHARE UPDATE EXCLUSIVE on one table at a time, which no reader or writer waits
// for.
func (c *Cutover) vacuumMigrated(ctx context.Context) error {
	if c.Upgrade.Plan.Behind == nil {
		return nil
	}
	production, _ := c.Upgrade.Plan.SchemaNames()
	rows, err := c.Sides.Shadow.Query(ctx, `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'm') AND (c.reltuples < 0 OR c.relallvisible = 0 AND c.relpages > 0) ORDER BY 1`, production)
	if err != nil {
		return fmt.Errorf("list the tables to vacuum: %w", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the tables to vacuum: %w", err)
	}
	return c.vacuum(ctx, tables)
}

func (c *Cutover) vacuum(ctx context.Context, tables []string) error {
	conn, err := c.Sides.Shadow.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	path := c.Upgrade.Plan.SearchPath // for what indexes call
	if path != "" {
		if _, err := conn.Exec(ctx, `SELECT pg_catalog.set_config('search_path', $1, false)`, path); err != nil {
			return fmt.Errorf("set the search_path: %w", err)
		}
		defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), "RESET search_path") }()
	}
	for _, t := range tables {
		_, err := conn.Exec(ctx, "VACUUM (ANALYZE) "+t)
		if err != nil && pg.State(err) != pgerrcode.UndefinedTable { // dropped since
			return fmt.Errorf("vacuum %s: %w", t, err)
		}
	}
	return nil
}
