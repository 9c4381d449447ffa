package upgrade_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Clients change everything at random while production is upgraded. They stop
// before the cutover, production is copied and migrated in place, and the
// upgraded one must equal that row for row.
func TestUpgradeUnderTrafficEqualsMigrationInPlace(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	w := build(t, trafficHistory(t))
	f := newFleet(t, w)
	f.start(ctx)
	w.run(ctx, upgrade.Options{Until: control.Following})
	f.followed(ctx, 3*time.Second)
	f.comparedAtABarrier(ctx)
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.same(ctx)
	f.balanced(ctx)
}

// followed keeps the run following for a while.
func (f *fleet) followed(ctx context.Context, d time.Duration) {
	t, w := f.w.t, f.w
	t.Helper()
	following, enough := context.WithTimeout(ctx, d)
	defer enough()
	if err := upgrade.Run(following, w.file(), upgrade.Options{Log: w.log}); ctx.Err() != nil || following.Err() == nil {
		t.Fatal(err)
	}
}

// comparedAtABarrier stops the clients, copies production, goes through the
// cutover and wants the rows that the migrations make of the copy in place.
func (f *fleet) comparedAtABarrier(ctx context.Context) {
	t, w := f.w.t, f.w
	t.Helper()
	f.stop()
	w.oracleDSN = testcontainers.Database(t)
	must(t, w.oracle.Copy(ctx, w.production, w.oracleDSN))
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, rehearsal.MigrateInPlace(ctx, w.oracleDSN, w.folder, ""))
	w.sameRows(ctx)
}

// Clients go on through the cutover. None at READ COMMITTED sees an error that
// its own statement did not earn, and what was acknowledged is there.
func TestCutoverUnderTrafficLosesNothingAndFailsNobody(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	w := build(t, trafficHistory(t))
	f := newFleet(t, w)
	f.start(ctx)
	w.run(ctx, upgrade.Options{Cutover: true})
	f.more(200)
	f.stop()
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	must(t, rehearsal.MigrateInPlace(ctx, w.oracleDSN, w.folder, ""))
	w.sameStructure(ctx)
	f.balanced(ctx)
}

// Clients go on through the cutover, through the rollback and through a second
// cutover of the same run, and change everything at random in between: what was
// acknowledged is there at each stop, once.
func TestThereAndBackAndThereUnderTrafficLosesNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 6*time.Minute)
	w := build(t, trafficHistory(t))
	before := schemaDump(t, w.production)
	f := newFleet(t, w)
	f.start(ctx)
	w.run(ctx, upgrade.Options{Cutover: true})
	leader := w.leads(ctx)
	f.more(300)
	f.kept(ctx)
	first := text(t, w.production, `SELECT cutover->>'stall_ms' FROM pgumbra.run`)
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{Follow: true}, Log: w.log}))
	f.more(200)
	f.kept(ctx)
	w.structureIs(before)
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	f.more(200)
	f.stop()
	await(ctx, t, w.production, `SELECT NOT EXISTS (SELECT FROM pg_constraint WHERE NOT convalidated AND connamespace = 'shop'::regnamespace)`) // by the leader
	f.balanced(ctx)
	t.Logf("stalls: cutover %s ms, %s", first, text(t, w.production, `SELECT concat_ws(', ', 'rollback ' || (rollback->>'stall_ms'), 'cutover ' || (cutover->>'stall_ms')) FROM pgumbra.run`))
	t.Logf("copied again: %s", text(t, w.production, `SELECT coalesce(string_agg(detail::text, E'\n'), 'nothing') FROM pgumbra.event WHERE kind = 'recopy'`))
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	must(t, leader.Wait())
	must(t, rehearsal.MigrateInPlace(ctx, w.oracleDSN, w.folder, ""))
	w.sameStructure(ctx)
}

// kept asks, while clients go on, for each commit that was acknowledged until now.
func (f *fleet) kept(ctx context.Context) {
	t := f.w.t
	t.Helper()
	f.mu.Lock()
	acked := maps.Clone(f.acked)
	f.mu.Unlock()
	conn, err := pgx.Connect(ctx, f.w.served)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT client, n, delta FROM shop.entry`)
	must(t, err)
	var client, n int
	var delta int64
	_, err = pgx.ForEachRow(rows, []any{&client, &n, &delta}, func() error {
		if acked[[2]int{client, n}] == delta {
			delete(acked, [2]int{client, n})
		}
		return nil
	})
	must(t, err)
	for k, delta := range acked {
		t.Errorf("client %d was told that number %d, %d, is committed: it is not there", k[0], k[1], delta)
	}
}

func trafficHistory(t *testing.T) history {
	t.Helper()
	dir := filepath.Join("testdata", "traffic")
	// chunks of a few pages, so that the copy takes long enough to be disturbed
	h := history{structure: read(t, filepath.Join(dir, "structure.sql")) + read(t, filepath.Join(dir, "data.sql")), schemas: []string{"shop"},
		planFile: "copy: {chunk_rows: 20, workers: 2}\ncutover: {max_stall: 3s, lock_timeout: 500ms, attempts: 100}\n"}
	files, err := filepath.Glob(filepath.Join(dir, "?_*.up.sql"))
	must(t, err)
	for _, f := range files {
		h.migrations = append(h.migrations, read(t, f))
	}
	return h
}

// seed of a test's clients: PGUMBRA_SEED repeats a run, as far as several
// sessions can be repeated.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := rand.Uint64() >> 32
	if text := os.Getenv("PGUMBRA_SEED"); text != "" {
		var err error
		n, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("to repeat: PGUMBRA_SEED=%d", n)
	return n
}

// fleet is all clients, and the ledger of what they were told is committed.
type fleet struct {
	w     *world
	seed  uint64
	merge bool
	halt  chan struct{}
	group *errgroup.Group

	mu      sync.Mutex
	acked   map[[2]int]int64 // client, number: delta
	pids    map[uint32]bool
	errors  map[string]int // by SQLSTATE
	commits atomic.Int64
}

func newFleet(t *testing.T, w *world) *fleet {
	t.Helper()
	f := &fleet{w: w, seed: seed(t), halt: make(chan struct{}), acked: map[[2]int]int64{}, pids: map[uint32]bool{}, errors: map[string]int{}}
	f.merge = w.version() >= 150000
	return f
}

func (w *world) version() (n int) {
	w.t.Helper()
	must(w.t, one(w.production, `SELECT current_setting('server_version_num')::int`, &n))
	return n
}

const coarseClient = 101

// start begins the traffic.
func (f *fleet) start(ctx context.Context) {
	f.w.t.Helper()
	f.group, ctx = errgroup.WithContext(ctx)
	kinds := []client{
		{mode: pgx.QueryExecModeSimpleProtocol, isolation: pgx.ReadCommitted},
		{mode: pgx.QueryExecModeExec, isolation: pgx.ReadCommitted},
		{mode: pgx.QueryExecModeCacheStatement, isolation: pgx.ReadCommitted},
		{mode: pgx.QueryExecModeCacheDescribe, isolation: pgx.ReadCommitted},
		{mode: pgx.QueryExecModeCacheStatement, isolation: pgx.RepeatableRead},
		{mode: pgx.QueryExecModeExec, isolation: pgx.Serializable},
	}
	for i, c := range kinds {
		c.fleet, c.id, c.random = f, i, rand.New(rand.NewPCG(f.seed, uint64(i)))
		f.group.Go(func() error { return c.work(ctx) })
	}
	long := client{fleet: f, id: 100, mode: pgx.QueryExecModeCacheStatement, random: rand.New(rand.NewPCG(f.seed, 100)), isolation: pgx.ReadCommitted}
	f.group.Go(func() error { return long.longTransaction(ctx) })
	heavy := client{fleet: f, id: coarseClient, random: rand.New(rand.NewPCG(f.seed, coarseClient)), isolation: pgx.ReadCommitted, mode: pgx.QueryExecModeSimpleProtocol}
	if !f.pooled() { // its settings are a session's
		f.group.Go(func() error { return heavy.coarse(ctx) })
	}
	f.more(20)
}

// pooled reports whether clients come through a pool, which gives a session to
// each transaction.
func (f *fleet) pooled() bool { return f.w.clients != f.w.production }

// more waits until so many transactions more were committed.
func (f *fleet) more(n int64) {
	for target := f.commits.Load() + n; f.commits.Load() < target && f.group != nil; {
		select {
		case <-f.halt:
			return
		case <-time.After(5 * time.Millisecond):
		}
		if f.failed() {
			return
		}
	}
}

func (f *fleet) failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errors["fatal"] > 0
}

// stop ends the traffic: each client finishes its transaction.
func (f *fleet) stop() {
	f.w.t.Helper()
	close(f.halt)
	if err := f.group.Wait(); err != nil {
		f.w.t.Error(err)
	}
	f.w.t.Logf("%d commits, errors %v", f.commits.Load(), f.errors)
}

func (f *fleet) halted() bool {
	select {
	case <-f.halt:
		return true
	default:
		return false
	}
}

// balanced checks the ledger and what the constraints promise.
func (f *fleet) balanced(ctx context.Context) {
	t := f.w.t
	t.Helper()
	conn, err := pgx.Connect(ctx, f.w.served)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT client, n, delta FROM shop.entry`)
	must(t, err)
	found := map[[2]int]int64{}
	var client, n int
	var delta int64
	_, err = pgx.ForEachRow(rows, []any{&client, &n, &delta}, func() error {
		found[[2]int{client, n}] = delta
		return nil
	})
	must(t, err)
	for k, delta := range f.acked {
		if found[k] != delta {
			t.Errorf("client %d was told that number %d, %d, is committed: there is %d", k[0], k[1], delta, found[k])
		}
	}
	if len(found) != len(f.acked) {
		t.Errorf("%d commits acknowledged, %d entries", len(f.acked), len(found))
	}
	for _, wrong := range []string{
		`SELECT count(*) FROM shop.account a WHERE balance <> (SELECT coalesce(sum(delta), 0) FROM shop.entry e WHERE e.account = a.id)`,
		`SELECT count(*) FROM shop.child c WHERE parent IS NOT NULL AND NOT EXISTS (SELECT FROM shop.parent p WHERE p.id = c.parent)`,
		`SELECT count(*) FROM shop.grandchild g WHERE child IS NOT NULL AND NOT EXISTS (SELECT FROM shop.child c WHERE c.id = g.child)`,
		`SELECT count(*) FROM pg_constraint WHERE NOT convalidated AND connamespace = 'shop'::regnamespace`,
	} {
		var n int
		must(t, conn.QueryRow(ctx, wrong).Scan(&n))
		if n != 0 {
			t.Errorf("%d: %s", n, wrong)
		}
	}
}
