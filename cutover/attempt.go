package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// attempt is one try, with two sessions of its own: one holds the fence and
// swaps, the other looks on.
type attempt struct {
	c     *Cutover
	plan  *plans.Plan
	out   *Outcome
	facts *facts

	swapper *pgx.Conn
	onlook  *pgx.Conn
	pid     uint32 // swapper's backend

	began    time.Time // first lock request
	deadline time.Time // began + max_stall
	guard    string    // xid8: who does not see it has a snapshot from before the drain
	xid      string    // xid8 of the swap
	waitedOn []Blocker // last sample of who stood in the fence's way
}

func (c *Cutover) open(ctx context.Context, out *Outcome) (*attempt, error) {
	a := &attempt{c: c, plan: c.Upgrade.Plan, out: out}
	var err error
	if a.swapper, err = c.connect(ctx); err != nil {
		return nil, err
	}
	if a.onlook, err = c.connect(ctx); err != nil {
		a.close(ctx)
		return nil, err
	}
	a.pid = a.swapper.PgConn().PID()
	if a.facts, err = gather(ctx, a.onlook, a.plan); err != nil {
		a.close(ctx)
		return nil, err
	}
	a.giveWayFirst(ctx)
	return a, nil
}

// connect opens a session whose statements are cancelled on the server when
// their context ends, so that a lock never outlives the budget it was given.
func (c *Cutover) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pg.Config(c.DSN, pg.Options{Component: "cutover"})
	if err != nil {
		return nil, err
	}
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 2 * time.Second}
	}
	return pgx.ConnectConfig(ctx, config)
}

// giveWayFirst makes us, not a client, the victim of a deadlock, and autovacuum
// give way within the fence's budget: both happen when the waiter's
// deadlock_timeout is over. Without the right to set it the budget alone keeps
// clients safe, and autovacuum is a blocker by name.
func (a *attempt) giveWayFirst(ctx context.Context) {
	ms := max(a.c.settings().LockTimeout.Milliseconds()/4, 1)
	_, err := a.swapper.Exec(ctx, `SELECT pg_catalog.set_config('deadlock_timeout', $1, false)`, strconv.FormatInt(ms, 10)+"ms")
	if err != nil {
		a.c.Log.Debug("deadlock_timeout not set", "error", err)
	}
}

// close ends both sessions. Whatever was not committed is rolled back and the
// fence is gone, at the latest when the server notices that we are.
func (a *attempt) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, conn := range []*pgx.Conn{a.swapper, a.onlook} {
		if conn != nil {
			_, _ = conn.Exec(ctx, "ROLLBACK")
			_ = conn.Close(ctx)
		}
	}
}

// calm begins the transaction and keeps VACUUM, ANALYZE and their automatic
// workers off the shadow's tables, which the swap must lock: nobody else uses
// them, so this costs no stall.
func (a *attempt) calm(ctx context.Context) error {
	budget := a.c.settings().LockTimeout
	script := fmt.Sprintf(`BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL statement_timeout = %d;
SET LOCAL idle_in_transaction_session_timeout = %d`, // should the network swallow us
		max(budget.Milliseconds(), 200),
		(a.c.settings().MaxStall + time.Second).Milliseconds())
	if len(a.facts.shadow) > 0 {
		script += ";\nLOCK TABLE " + only(a.facts.shadow) + " IN SHARE UPDATE EXCLUSIVE MODE"
	}
	return a.watched(ctx, script)
}

// fence stops writes: one LOCK TABLE statement over everything that moves, in
// one order, with one budget for all of it. EXCLUSIVE also waits for SELECT
// FOR UPDATE and lets plain readers pass, the drain's among them.
func (a *attempt) fence(ctx context.Context) error {
	a.began = time.Now()
	a.deadline = a.began.Add(a.c.settings().MaxStall)
	err := a.watched(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d;\n%s;\nSET LOCAL statement_timeout = %d",
		max(min(a.c.settings().LockTimeout, a.c.settings().MaxStall).Milliseconds(), 1), a.lockStatement("EXCLUSIVE"),
		max(a.c.settings().MaxStall.Milliseconds(), 1)))
	a.out.LockWait = time.Since(a.began)
	return err
}

// shut keeps readers out too, where tables are moved one by one. It comes after
// the drain, which reads production on other sessions. A client that has read
// within its transaction and waits to write cannot be waited for: then we are
// the deadlock's victim or out of budget, and the attempt is repeated.
func (a *attempt) shut(ctx context.Context) error {
	if !a.facts.oneByOne() {
		return nil
	}
	return a.watched(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d;\n%s",
		max(min(a.c.settings().LockTimeout.Milliseconds(), a.left()), 1), a.lockStatement("ACCESS EXCLUSIVE")))
}

func (a *attempt) lockStatement(mode string) string {
	names := slices.Clone(a.facts.outside)
	for _, r := range a.facts.production {
		names = append(names, r.name)
	}
	if len(names) == 0 {
		return "SELECT"
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "ONLY " + n.Quoted()
	}
	return "LOCK TABLE " + strings.Join(quoted, ", ") + " IN " + mode + " MODE"
}

func (f *facts) oneByOne() bool {
	return slices.ContainsFunc(f.moves, func(m move) bool { return m.way == oneByOne })
}

func only(relations []relation) string {
	quoted := make([]string, len(relations))
	for i, r := range relations {
		quoted[i] = "ONLY " + r.name.Quoted()
	}
	return strings.Join(quoted, ", ")
}

// watched runs a script that waits for locks while the other session notes
// who is in the way.
func (a *attempt) watched(ctx context.Context, script string) error {
	group, groupCtx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		return pg.ExecScript(groupCtx, a.swapper, script)
	})
	group.Go(func() error { return a.sample(groupCtx, done) })
	return group.Wait()
}

// sample notes who blocks the swapping session until done is closed. The first
// look is late enough to cost nothing where the fence stands at once.
func (a *attempt) sample(ctx context.Context, done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(15 * time.Millisecond):
		}
		found, err := sessions(ctx, a.onlook, blockingSQL, a.pid)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look who blocks: %w", err)
		}
		if len(found) > 0 {
			a.waitedOn = blockersOf("lock", found)
		}
	}
}

func (a *attempt) blockers() []Blocker { return a.waitedOn }

// behindFence does what has to be done while writers wait. Each step has what
// is left of max_stall.
func (a *attempt) behindFence(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"compare the tables behind the fence", a.compare},
		{"drain", a.drain},
		{"wait for old snapshots", a.outwait},
		{"keep readers out", a.shut},
		{"swap", a.swap},
	}
	for _, s := range steps {
		a.waitedOn = nil
		if err := s.do(ctx); err != nil {
			return a.judge(ctx, s.name, err)
		}
		if time.Now().After(a.deadline) {
			return refuse(Blocker{Code: "over-budget", Message: s.name + ": max_stall is used up",
				Fix: "try when production is quieter, or raise cutover.max_stall"})
		}
	}
	return nil
}

// compare looks whether tables came or went between the attempt's facts and
// the fence.
func (a *attempt) compare(ctx context.Context) error {
	production, _ := schemaNames(a.plan)
	now, err := relations(ctx, a.swapper, production)
	if err != nil {
		return err
	}
	if !slices.Equal(now, a.facts.production) {
		return refuse(Blocker{Code: "structure-changed", Message: "tables were made, dropped or renamed while the fence was put up",
			Fix: "look at the new tables; undo the change, or abort and plan again"})
	}
	return nil
}

// drain replays what the journals still hold, on other sessions, and in the
// meantime asks whether the structure is what capture saw.
func (a *attempt) drain(ctx context.Context) error {
	group, both := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		a.out.Drained, err = a.c.Parts.Drain(both)
		return err
	})
	if a.c.Parts.Changed != nil {
		group.Go(func() error {
			changed, err := a.c.Parts.Changed(both)
			if err != nil || len(changed) == 0 {
				return err
			}
			return refuse(changedBlockers(changed)...)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	// Committed by itself and after every transaction of the drain's: a
	// snapshot that sees it as done sees those too.
	return a.onlook.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(&a.guard)
}

func changedBlockers(changed []string) []Blocker {
	var all []Blocker
	for _, what := range changed {
		all = append(all, Blocker{Code: "structure-changed", Message: what, Fix: "undo the change, or abort and plan again"})
	}
	return all
}
