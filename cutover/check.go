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
)

//go:embed sql/inway.sql
var inWaySQL string

// Rows a second that a drain replays where no rate was measured yet: the slow
// end of what small rows reach.
const assumedRate = 10_000

// Locks that the swap takes for a table on both sides together, beyond one for
// each: triggers' functions, constraints, indexes. Measured for plain tables.
const locksPerTable = 6

// Check names what stands against a cutover now. It takes no locks. An empty
// list means that an attempt is worth making, not that it will succeed.
func (c *Cutover) Check(ctx context.Context) ([]Blocker, error) {
	if c.Sides.Remote() {
		return c.checkRemote(ctx)
	}
	if c.backwards() {
		return c.checkBack(ctx)
	}
	all, err := checked(ctx, c.Sides.Production,
		c.checkPrivileges, c.checkTables, c.checkPrepared, c.checkIndexes, c.checkWriteBlock, c.checkLocks, c.checkSessions, c.checkConditions, c.checkVersion)
	if err != nil {
		return nil, err
	}
	for _, check := range []func(context.Context) ([]Blocker, error){c.checkTotal, c.checkLag, c.checkStructure} {
		found, err := check(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// question asks one side what stands against a swap.
type question = func(context.Context, pg.Querier) ([]Blocker, error)

// checked puts several questions to one side.
func checked(ctx context.Context, pool *pgxpool.Pool, checks ...question) ([]Blocker, error) {
	var all []Blocker
	err := pinned(ctx, pool, func(tx pgx.Tx) error {
		for _, check := range checks {
			found, err := check(ctx, tx)
			if err != nil {
				return err
			}
			all = append(all, found...)
		}
		return nil
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

func (c *Cutover) checkTables(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	rows, err := control.Tables(ctx, db, c.Upgrade)
	if err != nil {
		return nil, err
	}
	var all []Blocker
	for _, t := range rows {
		if !c.Upgrade.Plan.Verifiable(t.Shadow) || c.Upgrade.Accepted[t.N] {
			continue
		}
		limit := c.proofAge(t, rows)
		switch {
		case t.State != control.FollowingState:
			all = append(all, Blocker{Code: "not-following", Message: fmt.Sprintf("%s does not follow yet: %s", t.Shadow, t.State), Fix: "let the run go on"})
		case t.VerifiedAt == nil:
			all = append(all, Blocker{Code: "not-verified", Message: t.Shadow + " is not verified", Fix: "let the run go on, or pgumbra verify"})
		case limit > 0 && !t.Current && t.VerifiedAgo > limit:
			all = append(all, Blocker{Code: "not-verified", Message: fmt.Sprintf("rows of %s that changed up to %s ago are not verified again yet, longer than cutover.verify_within",
				t.Shadow, t.VerifiedAgo.Round(time.Second)), Fix: "let the run go on, or raise cutover.verify_within"})
		}
	}
	return all, nil
}

// proofAge is how long ago a table may have been proved that was touched since; 0:
// any time, as where it is proved by key: what was touched is proved behind the
// fence, or there is no swap. One that is compared as a whole may be as much older as
// comparing all such tables in turn takes: they are let be most of the time.
func (c *Cutover) proofAge(t control.Row, all []control.Row) time.Duration {
	within, plan := c.settings().VerifyWithin, c.Upgrade.Plan
	if within == 0 || t.N >= len(plan.Tables) || plan.ProvedByKey(&plan.Tables[t.N]) {
		return 0
	}
	for _, other := range all {
		within += 8 * other.Took
	}
	return within
}

// checkLag predicts the drain from the rate of the last batches.
func (c *Cutover) checkLag(ctx context.Context) ([]Blocker, error) {
	pending, err := c.Parts.Pending(ctx)
	if err != nil {
		return nil, err
	}
	rate, err := control.ReplayRate(ctx, c.Sides.Record(), c.Upgrade)
	if err != nil {
		return nil, err
	}
	drain := time.Duration(float64(pending) / max(rate, assumedRate) * float64(time.Second))
	if drain <= c.settings().MaxStall/2 {
		return nil, nil
	}
	return []Blocker{{Code: "lag", Message: fmt.Sprintf("%d changes are not replayed; draining them would take %s, cutover.max_stall is %s",
		pending, drain.Round(time.Millisecond), c.settings().MaxStall), Fix: "wait until the run has caught up"}}, nil
}

func (c *Cutover) checkStructure(ctx context.Context) ([]Blocker, error) {
	changed, err := c.Parts.Changed(ctx, c.Sides.Production)
	return changedBlockers(changed), err
}

func (c *Cutover) checkIndexes(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	_, shadow := schemaNames(c.Upgrade.Plan)
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
	if counted := c.Upgrade.Plan.Estimates.Locks; counted > 0 { // what the dry run has told counts here, too
		return roomForLocks(ctx, db, int64(counted))
	}
	production, shadow := schemaNames(c.Upgrade.Plan)
	return c.checkLocksOf(append(production, shadow...))(ctx, db)
}

// checkLocksOf counts the tables of some schemas of one database.
func (c *Cutover) checkLocksOf(schemas []string) func(context.Context, pg.Querier) ([]Blocker, error) {
	return func(ctx context.Context, db pg.Querier) ([]Blocker, error) {
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
// hold a lock against the fence or a snapshot and have been open for longer
// than an attempt waits. A base backup is none of them: it copies files and
// replays WAL, whatever the names are.
func (c *Cutover) checkSessions(ctx context.Context, db pg.Querier) ([]Blocker, error) {
	production, _ := schemaNames(c.Upgrade.Plan)
	pids, started := c.own().Columns()
	found, err := sessions(ctx, db, inWaySQL, production, c.settings().MaxStall.Seconds(), true, pids, started)
	if err != nil {
		return nil, fmt.Errorf("look for open transactions: %w", err)
	}
	return blockersOf("lock or snapshot", found), nil
}
