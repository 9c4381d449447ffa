package cutover

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// stepsWithMigrations are those of an attempt that runs migrations behind the
// fence. What they write is visible from the COMMIT on only, so that the mark by
// which snapshots are told apart is the swapping transaction's own number, and
// older snapshots are waited out last.
func (a *attempt) stepsWithMigrations() []step {
	return []step{
		{"compare the tables behind the fence", a.compare},
		{"drain", a.replayRest},
		{"read sequences", a.readSequences},
		{"keep readers out", a.shut},
		{"swap the names", a.swapNames},
		{"run the migrations", a.migrate},
		{"wait for old snapshots", a.outwait},
		{"guard", a.guardMigrated},
		{"look again", a.lookAgain},
	}
}

// namesScript leads the names to the shadow, so that the migrations find all
// under the true names. What they make of the tables has no reverse capture.
func (a *attempt) namesScript() []stage {
	return []stage{
		{"sequences", ownSequences(a.plan)},
		{"structure", entryStatements(a.c.Parts.SwapEntries())},
		{"gate", []string{opened(gateName(a.c.Upgrade))}},
		{"old side", oldSide(a.c.Upgrade, a.facts)},
		{"names", names(a.plan, a.facts.moves)},
	}
}

func (a *attempt) swapNames(ctx context.Context) error {
	if err := a.play(ctx, a.pair, a.namesScript()); err != nil {
		return err
	}
	if err := a.succeed(ctx); err != nil {
		return err
	}
	var err error
	if a.out.unvalidated, err = unvalidated(ctx, a.swapper, a.plan); err != nil {
		return err
	}
	return a.swapper.QueryRow(ctx, `SELECT pg_catalog.pg_current_xact_id()::text`).Scan(&a.guard)
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
	production, _ := schemaNames(plan)
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
	rows, err := c.Sides.Production.Query(ctx, `SELECT pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.conrelid::pg_catalog.regclass, k.conname)
		FROM pgumbra.run r CROSS JOIN LATERAL pg_catalog.json_to_recordset(r.cutover -> 'unvalidated') AS u (oid oid, "table" oid, name name)
		JOIN pg_catalog.pg_constraint k ON (k.oid = u.oid OR k.conrelid = u."table" AND k.conname = u.name) AND k.contype = 'f' AND NOT k.convalidated
		WHERE r.id = $1 AND pg_catalog.json_typeof(r.cutover -> 'unvalidated') = 'array'`, c.Upgrade.ID)
	if err != nil {
		return fmt.Errorf("list the foreign keys to validate: %w", err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the foreign keys to validate: %w", err)
	}
	for _, sql := range statements {
		if err := patiently(ctx, c.Sides.Production, sql); err != nil && pg.State(err) != pg.UndefinedTable {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// CodeMigrationFailed is the code of a blocker: a migration failed behind the
// fence, and all was rolled back.
const CodeMigrationFailed = "migration-failed"

// migrate runs the migrations for real. A failure is theirs, and final: all is
// rolled back, and production goes on as if nothing had been.
func (a *attempt) migrate(ctx context.Context) error {
	m := &migrator{ctx: ctx, conn: a.swapper, plan: a.plan, left: a.left}
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
	return err
}

// guardMigrated guards the tables as the migrations left them, and records the
// swap.
func (a *attempt) guardMigrated(ctx context.Context) error {
	production, _ := schemaNames(a.plan)
	tables, err := relations(ctx, a.swapper, production)
	if err != nil {
		return err
	}
	err = a.play(ctx, a.pair, []stage{{"guard", guards(a.c.Upgrade, tables, a.guard)}})
	if err != nil {
		return err
	}
	return a.record(ctx)
}

// vacuumMigrated gives the planner its statistics, and index-only scans their
// map, of tables that the migrations behind the fence made or wrote anew. Takes
// SHARE UPDATE EXCLUSIVE on one table at a time, which no reader or writer waits
// for.
func (c *Cutover) vacuumMigrated(ctx context.Context) error {
	if c.Upgrade.Plan.Behind == nil {
		return nil
	}
	production, _ := schemaNames(c.Upgrade.Plan)
	rows, err := c.Sides.Production.Query(ctx, `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
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
	for _, t := range tables {
		_, err := c.Sides.Production.Exec(ctx, "VACUUM (ANALYZE) "+t)
		if err != nil && pg.State(err) != pg.UndefinedTable { // dropped since
			return fmt.Errorf("vacuum %s: %w", t, err)
		}
	}
	return nil
}

// Trial is what a run of the migrations on the followed shadow, rolled back, has
// shown.
type Trial struct {
	Files   []FileTime `json:"files"`
	TotalMS float64    `json:"total_ms"`
	// Failed is the migration's own error; empty: none.
	Failed string `json:"failed,omitempty"`
	Where  string `json:"where,omitempty"` // of the failure
	// Skipped is why no trial is possible; empty: there was one.
	Skipped string `json:"skipped,omitempty"`
}

// errOutside ends a trial that would lock what clients use.
var errOutside = errors.New("it would lock")

// Trial runs the migrations that are kept for behind the fence on the shadow, as
// it is followed, under the true names, and rolls everything back. Nobody sees
// it: production's tables are not locked, and names are looked up in committed
// catalogs. The caller replays nothing meanwhile. Where the migrations lock
// tables that do not move, or objects would have to be moved one by one, there
// is no trial, and it says so. Tables that it wrote want a VACUUM.
func (c *Cutover) Trial(ctx context.Context) (trial Trial, err error) {
	p, err := openPair(ctx, c.DSN)
	if err != nil {
		return trial, err
	}
	defer p.close(ctx)
	f, err := gather(ctx, p.onlook, c.Upgrade.Plan)
	if err != nil {
		return trial, err
	}
	if f.oneByOne() {
		trial.Skipped = "a schema holds an extension that cannot move along, so that objects are moved one by one, which would lock production's tables"
		return trial, nil
	}
	m := &migrator{ctx: ctx, conn: p.swapper, plan: c.Upgrade.Plan, left: func() int64 { return 0 }}
	m.check = c.locksNothingOutside(ctx, p)
	if v := m.plan.VersionTable; v != nil && v.Moves {
		m.table = &v.Name
	}
	wrote, err := c.tryMigrations(ctx, p, f, m)
	trial.Files = m.times
	for _, t := range m.times {
		trial.TotalMS += t.MS
	}
	var failed *MigrationError
	switch {
	case errors.As(err, &failed):
		trial.Failed, trial.Where = failed.Error(), failed.Where()
		return trial, nil
	case errors.Is(err, errOutside):
		trial.Skipped = err.Error()
		return trial, nil
	case err != nil:
		return trial, err
	}
	p.close(ctx)
	return trial, c.vacuum(ctx, wrote)
}

// trialSequences put the shadow's own sequences where a swap would, with a file
// of their own for this transaction: its rollback takes back what is drawn.
func trialSequences(ctx context.Context, p *pair, plan *plans.Plan) ([]string, error) {
	going, err := successions(ctx, plan, p.onlook, p.onlook)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, s := range going {
		all = append(all, s.proceed(s.plan.Shadow.Quoted())...)
	}
	for _, s := range plan.Sequences {
		if s.Production.IsZero() {
			all = append(all, "ALTER SEQUENCE "+s.Shadow.Quoted()+" RESTART", ownSequence(s))
		}
	}
	return all, nil
}

// tryMigrations names the shadow's tables that it wrote, by their names before
// the swap.
func (c *Cutover) tryMigrations(ctx context.Context, p *pair, f *facts, m *migrator) (wrote []string, err error) {
	script := []string{"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", fmt.Sprintf("SET LOCAL lock_timeout = %d", lateLock.Milliseconds())}
	sequences, err := trialSequences(ctx, p, c.Upgrade.Plan)
	if err != nil {
		return nil, err
	}
	script = append(script, sequences...)
	script = append(script, entryStatements(c.trialEntries(f.outside))...)
	script = append(script, names(trialPlan(c.Upgrade.Plan), f.moves)...)
	for _, sql := range script {
		if err := pg.ExecScript(ctx, p.swapper, sql); err != nil {
			return nil, fmt.Errorf("prepare the trial of the migrations: %w", err)
		}
	}
	if err := m.run(); err != nil {
		return nil, err
	}
	_, shadow := schemaNames(c.Upgrade.Plan)
	rows, err := p.onlook.Query(ctx, `SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname)
		FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE l.pid = $1 AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock' AND c.relkind = 'r' AND n.nspname = ANY ($2)`, p.pid, shadow)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// trialEntries are the swap's own without foreign keys to tables that stay: to
// add one locks these against writers.
func (c *Cutover) trialEntries(outside []pg.Name) []plans.Entry {
	return slices.DeleteFunc(slices.Clone(c.Parts.SwapEntries()), func(e plans.Entry) bool {
		return e.Tag == "FK CONSTRAINT" && slices.ContainsFunc(outside, func(n pg.Name) bool {
			return strings.Contains(e.SQL, "REFERENCES "+n.String()) || strings.Contains(e.SQL, "REFERENCES "+n.Quoted())
		})
	})
}

//go:embed sql/outsidelocks.sql
var outsideLocksSQL string

// locksNothingOutside ends a trial that holds a lock on what clients use. The
// other session's look tells what was there before.
func (c *Cutover) locksNothingOutside(ctx context.Context, p *pair) func(string, syntax.ScriptStatement) error {
	_, shadow := schemaNames(c.Upgrade.Plan)
	return func(file string, s syntax.ScriptStatement) error {
		var locked *string
		if err := p.onlook.QueryRow(ctx, outsideLocksSQL, p.pid, shadow).Scan(&locked); err != nil {
			return fmt.Errorf("look what the trial locks: %w", err)
		}
		if locked == nil {
			return nil
		}
		return fmt.Errorf("%s:%d: %w %s, which clients use", file, s.Line, errOutside, *locked)
	}
}

// trialPlan is without shared sequences: to move one locks it against nextval.
func trialPlan(plan *plans.Plan) *plans.Plan {
	tried := *plan
	tried.Shared = nil
	for _, s := range plan.Shared {
		if s.Kind != "SEQUENCE" {
			tried.Shared = append(tried.Shared, s)
		}
	}
	return &tried
}
