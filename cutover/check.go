package cutover

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

//go:embed sql/inway.sql
var inWaySQL string

// Changes a second that a drain replays where no rate was measured yet: the slow
// end of what small rows reach.
const assumedRate = 10_000

// Locks that the swap takes for a table on both sides together, beyond one for
// each: triggers' functions, constraints, indexes. Measured for plain tables.
const locksPerTable = 6

// question is one thing that stands against a swap now, of the run, its tables and its
// indexes: whom it is asked, and in which of the four cutovers, there or back, in one
// database or to another. What must not be in the catalogs package conditions lists.
type question struct {
	of   side
	when func(*Cutover) bool
	ask  func(*Cutover, context.Context, pg.Querier) ([]Blocker, error)
}

// side that a question is asked of. In one database both are one.
type side int

const (
	ofProduction side = iota
	ofShadow
	ofRun // of whatever the record and package [Parts] say: it is given no session
)

// questions are all that [Cutover.Check] asks. What an attempt asks once more behind its
// locks its steps say: conditions, structure and proofs, as nothing else changes there.
var questions = []question{
	{ofProduction, inAll, (*Cutover).checkPrivileges},
	{ofShadow, inAll, (*Cutover).checkTables},
	{ofProduction, inAll, (*Cutover).checkPrepared},
	{ofShadow, remoteOnly, (*Cutover).checkPrepared},
	{ofShadow, remoteForward, (*Cutover).checkCreate},
	{ofShadow, forwardOnly, (*Cutover).checkIndexes}, // the old side's are what they were before the upgrade
	{ofShadow, forwardOnly, (*Cutover).checkWriteBlock},
	{ofProduction, inAll, (*Cutover).checkLocks},
	{ofShadow, remoteOnly, (*Cutover).checkLocksOnShadow},
	{ofProduction, inAll, (*Cutover).checkSessions},
	{ofProduction, inAll, (*Cutover).checkConditions},
	{ofShadow, remoteOnly, (*Cutover).checkShadowConditions},
	{ofProduction, inAll, (*Cutover).checkVersion},
	{ofProduction, (*Cutover).backwards, (*Cutover).checkMadeSince},
	{ofProduction, inAll, (*Cutover).checkSequences},
	{ofShadow, inAll, (*Cutover).checkSuccessors},
	{ofProduction, returning, (*Cutover).checkTurned},
	{ofRun, forwardOnly, (*Cutover).checkTotal},
	{ofRun, inAll, (*Cutover).checkLag},
	{ofRun, inAll, (*Cutover).checkStructure},
	{ofRun, remoteOnly, (*Cutover).checkTraffic},
}

func inAll(*Cutover) bool           { return true }
func forwardOnly(c *Cutover) bool   { return !c.backwards() }
func remoteOnly(c *Cutover) bool    { return c.Sides.Remote() }
func returning(c *Cutover) bool     { return c.backwards() || c.Upgrade.Again }
func remoteForward(c *Cutover) bool { return remoteOnly(c) && forwardOnly(c) }

// Check names what stands against a cutover, or a rollback, now. It takes no locks. An
// empty list means that an attempt is worth making, not that it will succeed.
func (c *Cutover) Check(ctx context.Context) ([]Blocker, error) {
	all, err := c.onSide(ctx, c.Sides.Production, func(s side) bool { return s == ofProduction || s == ofShadow && !c.Sides.Remote() })
	if err != nil {
		return nil, err
	}
	if c.Sides.Remote() {
		found, err := c.checkShadow(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	found, err := c.answers(ctx, nil, func(s side) bool { return s == ofRun })
	return append(all, found...), err
}

// answers are those to the questions of some sides.
func (c *Cutover) answers(ctx context.Context, db pg.Querier, of func(side) bool) (all []Blocker, err error) {
	for _, q := range questions {
		if !of(q.of) || !q.when(c) {
			continue
		}
		found, err := q.ask(c, ctx, db)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// onSide puts them in one transaction.
func (c *Cutover) onSide(ctx context.Context, pool *pgxpool.Pool, of func(side) bool) (all []Blocker, err error) {
	err = pinned(ctx, pool, func(tx pgx.Tx) (err error) {
		all, err = c.answers(ctx, tx, of)
		return err
	})
	return all, err
}

// checkPrivileges: without pg_read_all_stats other sessions' state reads NULL,
// and every look at them would find nothing. From PostgreSQL 15 on it lets the
// read guard look at its session's memory, too.
func (c *Cutover) checkPrivileges(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	var stats, memory bool
	var user string
	err := db.QueryRow(ctx, `SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
		pg_catalog.has_function_privilege('pg_catalog.pg_get_backend_memory_contexts()', 'EXECUTE'), current_user::text`).Scan(&stats, &memory, &user)
	if err != nil {
		return nil, fmt.Errorf("check privileges: %w", err)
	}
	switch {
	case !stats:
		return []Blocker{{Code: "privilege", Message: "without pg_read_all_stats old snapshots of other sessions cannot be seen",
			Fix: "GRANT pg_read_all_stats TO " + pg.Ident(user)}}, nil
	case !memory && !c.Sides.Remote():
		return []Blocker{{Code: "privilege", Message: "without pg_get_backend_memory_contexts() statements with an old snapshot cannot be told from others",
			Fix: "GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO " + pg.Ident(user)}}, nil
	}
	return nil, nil
}

// InTheWay names the transactions alone that stand against a cutover now. It waits for no
// lock of any table.
func (c *Cutover) InTheWay(ctx context.Context) (all []Blocker, err error) {
	err = pinned(ctx, c.Sides.Production, func(tx pgx.Tx) (err error) {
		all, err = c.checkSessions(ctx, tx)
		return err
	})
	return all, err
}

func (c *Cutover) checkTables(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	rows, err := control.Tables(ctx, db, c.Upgrade)
	if err != nil {
		return nil, err
	}
	var all []Blocker
	for _, t := range rows {
		all = append(all, AgainstTable(c.Upgrade, t, rows)...)
	}
	return all, nil
}

// AgainstTable is what the record of a table says against a swap; rows are those of all
// tables. For status, too, which asks before anybody tries.
func AgainstTable(run *control.Run, t control.Row, rows []control.Row) []Blocker {
	if !run.Plan.Verifiable(t.Shadow) || run.Accepted[t.N] {
		return nil
	}
	limit := proofAge(run.Plan, t, rows)
	switch {
	case t.State != control.FollowingState:
		return []Blocker{{Code: "not-following", Message: fmt.Sprintf("%s does not follow yet: %s", t.Shadow, t.State), Fix: "let the run go on"}}
	case t.VerifiedAt == nil:
		return []Blocker{{Code: "not-verified", Message: t.Shadow + " is not verified", Fix: "let the run go on, or pgumbra verify"}}
	case limit > 0 && !t.Current && t.VerifiedAgo > limit:
		return []Blocker{{Code: "not-verified", Message: fmt.Sprintf("rows of %s that changed up to %s ago are not verified again yet, longer than cutover.verify_within",
			t.Shadow, t.VerifiedAgo.Round(time.Second)), Fix: "let the run go on, or raise cutover.verify_within"}}
	}
	return nil
}

// proofAge is how long ago a table may have been proved that was touched since; 0:
// any time, as where it is proved by key: what was touched is proved behind the
// fence, or there is no swap. One that is compared as a whole may be as much older as
// comparing all such tables in turn takes: they are let be most of the time.
func proofAge(plan *plans.Plan, t control.Row, all []control.Row) time.Duration {
	within := plan.Settings.Cutover.VerifyWithin
	if within == 0 || t.N >= len(plan.Tables) || plan.ProvedByKey(&plan.Tables[t.N]) {
		return 0
	}
	for _, other := range all {
		within += 8 * other.Took
	}
	return within
}

// checkLag predicts the drain from the rate of the last batches.
func (c *Cutover) checkLag(ctx context.Context, _ pg.Querier) ([]Blocker, error) {
	pending, err := c.Parts.Pending(ctx)
	if err != nil {
		return nil, err
	}
	rate, err := control.ReplayRate(ctx, c.Sides.Record(), c.Upgrade)
	if err != nil {
		return nil, err
	}
	drain, late := Lags(pending, rate, c.settings())
	if !late {
		return nil, nil
	}
	return []Blocker{{Code: "lag", Message: fmt.Sprintf("%d changes are not replayed; draining them would take %s, cutover.max_stall is %s",
		pending, drain.Round(time.Millisecond), c.settings().MaxStall), Fix: "wait until the run has caught up"}}, nil
}

// Lags says how long a drain of so many changes takes, of which so many were replayed in a
// second last (0: not measured), and whether that is too long for an attempt.
func Lags(pending int64, rate float64, s plans.CutoverSettings) (drain time.Duration, late bool) {
	drain = time.Duration(float64(pending) / max(rate, assumedRate) * float64(time.Second))
	return drain, drain > s.MaxStall/2
}

func (c *Cutover) checkStructure(ctx context.Context, _ pg.Querier) ([]Blocker, error) {
	changed, err := c.Parts.Changed(ctx, c.Sides.Production)
	return changedBlockers(changed), err
}

func (c *Cutover) checkIndexes(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	shadow := c.Upgrade.Plan.ShadowSchemas()
	return named(ctx, db, "invalid-index", "index %s is not valid", "let the run build it; if it stays so, abort and run again",
		`SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
		 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		 WHERE n.nspname = ANY ($1) AND NOT (i.indisvalid AND i.indisready) ORDER BY 1`, shadow)
}

// named makes a blocker of each row of a query.
func named(ctx context.Context, db pg.Querier, code, message, fix, sql string, args ...any) ([]Blocker, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", code, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", code, err)
	}
	var all []Blocker
	for _, what := range found {
		all = append(all, Blocker{Code: code, Message: fmt.Sprintf(message, what), Fix: fix})
	}
	return all, nil
}

// checkLocks compares what the swap will lock with what the lock table has
// room for.
func (c *Cutover) checkLocks(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	production, shadow := c.Upgrade.Plan.SchemaNames()
	if c.Sides.Remote() {
		return c.checkLocksOf(ctx, db, production)
	}
	if counted := c.Upgrade.Plan.Estimates.Locks; counted > 0 { // what the dry run has told counts here, too
		return roomForLocks(ctx, db, int64(counted))
	}
	return c.checkLocksOf(ctx, db, append(production, shadow...))
}

func (c *Cutover) checkLocksOnShadow(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	return c.checkLocksOf(ctx, db, c.Upgrade.Plan.ShadowSchemas())
}

// checkLocksOf counts the tables of some schemas of one database.
func (c *Cutover) checkLocksOf(ctx context.Context, db pg.Querier, schemas []string) ([]Blocker, error) {
	tables, err := relations(ctx, db, schemas)
	if err != nil {
		return nil, err
	}
	need := int64(len(tables)*locksPerTable/2 + 100)
	if c.Upgrade.Plan.Moves() {
		need *= 2 // tables moved one by one take their indexes, sequences and TOAST along
	}
	return roomForLocks(ctx, db, need)
}

func roomForLocks(ctx context.Context, db pg.Querier, need int64) ([]Blocker, error) {
	var room int64
	err := db.QueryRow(ctx, `SELECT current_setting('max_locks_per_transaction')::bigint *
		(current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)
		- (SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT fastpath)`).Scan(&room)
	if err != nil {
		return nil, fmt.Errorf("count locks: %w", err)
	}
	if need <= room {
		return nil, nil
	}
	return []Blocker{{Code: "locks", Message: fmt.Sprintf("the swap takes about %d locks; the lock table has room for %d", need, room),
		Fix: "raise max_locks_per_transaction and restart the server"}}, nil
}

// checkSessions names whoever would make an attempt fail now: transactions that
// hold a lock against the fence, or in one database a snapshot, and have been open for
// longer than an attempt waits. A base backup is none of them: it copies files and
// replays WAL, whatever the names are.
func (c *Cutover) checkSessions(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	production, _ := c.Upgrade.Plan.SchemaNames()
	snapshots, what := true, "lock or snapshot"
	if c.Sides.Remote() {
		snapshots, what = false, "lock" // what reads production goes on there
	}
	pids, started := c.own().Columns()
	found, err := sessions(ctx, db, inWaySQL, production, c.settings().MaxStall.Seconds(), snapshots, pids, started)
	if err != nil {
		return nil, fmt.Errorf("look for open transactions: %w", err)
	}
	return blockersOf(what, found), nil
}
