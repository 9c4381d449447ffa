package cutover

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// Trial is what the swap, or the migrations that run behind the fence, have shown
// on the followed shadow, rolled back.
type Trial struct {
	// Swap is what the swap's own statements took, part by part; SwapMS all of
	// them. Not measured where migrations run behind the fence.
	Swap   []PartTime `json:"swap,omitempty"`
	SwapMS float64    `json:"swap_ms,omitempty"`
	// Files are those migrations; TotalMS all of them.
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
// is no trial, and it says so: not so in a database of the shadow's own, where
// nobody else is. Tables that it wrote want a VACUUM. Where no migrations are kept
// for behind the fence, the swap's own statements are run and timed.
func (c *Cutover) Trial(ctx context.Context) (trial Trial, err error) {
	if c.Upgrade.Plan.Behind == nil {
		return c.trySwap(ctx)
	}
	dsn, prepare := c.DSN, c.prepareTrial
	if c.Sides.Remote() {
		dsn, prepare = c.ShadowDSN, c.prepareTrialRemote
	}
	p, err := openPair(ctx, dsn)
	if err != nil {
		return trial, err
	}
	defer p.close(ctx)
	m := &migrator{ctx: ctx, conn: p.locker, plan: c.Upgrade.Plan, left: func() int64 { return 0 }}
	script, err := prepare(ctx, p, m)
	var wrote []string
	if err == nil {
		wrote, err = c.tryMigrations(ctx, p, script, m)
	}
	trial.Files = m.times
	for _, t := range m.times {
		trial.TotalMS += t.MS
	}
	var failed *MigrationError
	switch {
	case errors.As(err, &failed):
		trial.Failed, trial.Where = failed.Error(), failed.Where()
		return trial, nil
	case errors.Is(err, errOutside), errors.Is(err, errOneByOne):
		trial.Skipped = err.Error()
		return trial, nil
	case err != nil:
		return trial, err
	}
	p.close(ctx)
	return trial, c.vacuum(ctx, wrote)
}

// errOneByOne: there is no trial where objects are moved one by one.
var errOneByOne = errors.New("a schema holds an extension that cannot move along, so that objects are moved one by one, which would lock production's tables")

// prepareTrial is the script that comes before the migrations in production's own
// database. It keeps off what clients use.
func (c *Cutover) prepareTrial(ctx context.Context, p *pair, m *migrator) ([]string, error) {
	f, err := gather(ctx, p.observer, c.Upgrade.Plan)
	if err != nil {
		return nil, err
	}
	if f.objectByObject() {
		return nil, errOneByOne
	}
	m.check = c.locksNothingOutside(ctx, p)
	if v := m.plan.VersionTable; v != nil && v.Moves {
		m.table = &v.Name
	}
	sequences, err := c.trialSequences(ctx, p.observer, p.observer)
	if err != nil {
		return nil, err
	}
	return slices.Concat(sequences, entryStatements(c.trialEntries()), names(trialPlan(c.Upgrade.Plan), f.moves)), nil
}

// prepareTrialRemote is the script of the swap itself: in a database of the
// shadow's own it hinders nobody.
func (c *Cutover) prepareTrialRemote(ctx context.Context, p *pair, m *migrator) ([]string, error) {
	activation, err := c.activations(ctx, p.observer, new(taken))
	if err != nil {
		return nil, err
	}
	if v := m.plan.VersionTable; v != nil {
		m.table = &v.Name
	}
	script := []string{"SET LOCAL lock_timeout = '2s'"} // long enough for autovacuum to give way
	sequences, err := c.trialSequences(ctx, c.Sides.Production, p.observer)
	if err != nil {
		return nil, err
	}
	script = append(script, sequences...)
	for _, s := range beforeCapture(c.activationScript(activation)) {
		script = append(script, s.sql...)
	}
	return script, nil
}

// Hindered is what stands against a trial now, in the words of the error that
// [Cutover.Trial] returned; empty: something else is wrong.
func Hindered(err error) string {
	var no *notNow
	if errors.As(err, &no) || pg.State(err) == pgerrcode.LockNotAvailable || pg.State(err) == pgerrcode.DeadlockDetected || pg.State(err) == pgerrcode.QueryCanceled || pg.SilentTooLong(err) {
		return err.Error()
	}
	return ""
}

// trialSequences put the shadow's own sequences where a swap would, with a file
// of their own for this transaction: its rollback takes back what is drawn.
func (c *Cutover) trialSequences(ctx context.Context, production, shadow pg.Querier) ([]string, error) {
	going, err := successions(ctx, c.Upgrade.Plan, production, shadow)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, s := range going {
		all = append(all, s.proceed(s.plan.Shadow.Quoted())...)
	}
	return append(all, c.ownSequences()...), nil
}

// tryMigrations runs a script and the migrations after it, and names the shadow's
// tables that they wrote, by their names before the swap.
func (c *Cutover) tryMigrations(ctx context.Context, p *pair, script []string, m *migrator) (wrote []string, err error) {
	if err := c.beginTrial(ctx, p, lateLock); err != nil {
		return nil, err
	}
	for _, sql := range script {
		if err := pg.ExecScript(ctx, p.locker, sql); err != nil {
			return nil, fmt.Errorf("prepare the trial of the migrations: %w", err)
		}
	}
	if err := m.run(); err != nil {
		return nil, err
	}
	shadow := c.Upgrade.Plan.ShadowSchemas()
	rows, err := p.observer.Query(ctx, `SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname)
		FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE l.pid = $1 AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock' AND c.relkind = 'r' AND n.nspname = ANY ($2)`, p.pid, shadow)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// trialEntries are the swap's own without foreign keys to tables that stay: to
// add one locks these against writers.
func (c *Cutover) trialEntries() []plans.Entry {
	moving := c.Upgrade.Plan.ShadowSchemas()
	return slices.DeleteFunc(slices.Clone(c.Parts.SwapEntries()), func(e plans.Entry) bool {
		to, isKey := refersTo(&e)
		return isKey && !slices.Contains(moving, to.Schema)
	})
}

//go:embed sql/outsidelocks.sql
var outsideLocksSQL string

// locksNothingOutside ends a trial that holds a lock on what clients use. The
// other session's look tells what was there before.
func (c *Cutover) locksNothingOutside(ctx context.Context, p *pair) func(string, syntax.ScriptStatement) error {
	shadow := c.Upgrade.Plan.ShadowSchemas()
	return func(file string, s syntax.ScriptStatement) error {
		var locked *string
		if err := p.observer.QueryRow(ctx, outsideLocksSQL, p.pid, shadow).Scan(&locked); err != nil {
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
