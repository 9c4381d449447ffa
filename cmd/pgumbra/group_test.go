package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

// ledger is one of two databases between which clients transfer: an entry in each.
var ledger = setting{
	sql: `CREATE SCHEMA shop;
		CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
		INSERT INTO public.schema_migrations VALUES (1, false);
		CREATE TABLE shop.entry (key text PRIMARY KEY, delta int NOT NULL);
		CREATE TABLE shop.note (id int PRIMARY KEY);
		INSERT INTO shop.entry SELECT 'old ' || n, 0 FROM generate_series(1, 300) n;`,
	migrations: map[string]string{
		"1_base.up.sql":  "SELECT 1;",
		"2_cents.up.sql": "ALTER TABLE shop.entry ALTER COLUMN delta TYPE bigint;\nALTER TABLE shop.entry ADD COLUMN cents bigint;\nUPDATE shop.entry SET cents = delta * 100;",
	},
}

const ledgerPlan = `name: up
production:
  schemas: [shop]
  databases:
    - {name: orders, dsn: %q}
    - {name: billing, dsn: %q}
migrations: {path: migrations}
scratch: {rows: 0}
`

// bank is an operator of the two, and the clients that use both.
type bank struct {
	*operator
	dsns [2]string // orders, billing

	mu       sync.Mutex
	acked    map[string]int // key to delta in orders
	failures []string
	halt     context.CancelFunc
	halted   sync.WaitGroup
}

func newBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{operator: &operator{t: t, dir: t.TempDir(), run: "up"}, acked: map[string]int{}}
	for i := range b.dsns {
		b.dsns[i] = testcontainers.Database(t)
		b.in(i, ledger.sql)
	}
	b.dsn = b.dsns[0]
	must(t, os.Mkdir(filepath.Join(b.dir, "migrations"), 0o755))
	for name, text := range ledger.migrations {
		b.write("migrations/"+name, text)
	}
	b.write("pgumbra.yaml", fmt.Sprintf(ledgerPlan, b.dsns[0], b.dsns[1]))
	return b
}

// in runs a script in one of the databases.
func (b *bank) in(i int, script string) {
	b.t.Helper()
	ctx := limited(b.t, 30*time.Second)
	conn, err := pgx.Connect(ctx, b.dsns[i])
	must(b.t, err)
	defer conn.Close(ctx)
	must(b.t, conn.PgConn().Exec(ctx, script).Close())
}

// asked is one text of one of the databases.
func (b *bank) asked(i int, sql string) string {
	o := *b.operator
	o.dsn = b.dsns[i]
	return o.query(limited(b.t, 20*time.Second), sql)
}

func (b *bank) phases() string {
	const sql = `SELECT phase FROM pgumbra.run ORDER BY id DESC LIMIT 1`
	return b.asked(0, sql) + " " + b.asked(1, sql)
}

// use lets clients transfer until settled. The name of each transfer is a key in both.
func (b *bank) use(ctx context.Context) {
	ctx, b.halt = context.WithCancel(ctx)
	for c := range 2 {
		b.halted.Go(func() { b.transfer(ctx, c) })
	}
}

func (b *bank) transfer(ctx context.Context, client int) {
	var conns [2]*pgx.Conn
	for i, dsn := range b.dsns {
		config, err := pgx.ParseConfig(dsn)
		if err == nil {
			config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
			conns[i], err = pgx.ConnectConfig(ctx, config)
		}
		if err != nil {
			b.failed(err)
			return
		}
		defer func() { _ = conns[i].Close(context.WithoutCancel(ctx)) }()
	}
	for n := 1; ctx.Err() == nil; n++ {
		key, delta := fmt.Sprintf("%d/%d", client, n), n%50+1
		for i, sign := range []int{1, -1} {
			if _, err := conns[i].Exec(context.WithoutCancel(ctx), `INSERT INTO shop.entry (key, delta) VALUES ($1, $2)`, key, sign*delta); err != nil {
				b.failed(fmt.Errorf("%s in %d: %w", key, i, err))
				return
			}
		}
		b.mu.Lock()
		b.acked[key] = delta
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *bank) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = append(b.failures, err.Error())
}

// settle stops the clients and wants each transfer in both databases, once.
func (b *bank) settle(ctx context.Context) {
	b.t.Helper()
	b.halt()
	b.halted.Wait()
	if len(b.failures) > 0 || len(b.acked) < 10 {
		b.t.Errorf("%d transfers; clients saw %v", len(b.acked), b.failures)
	}
	for i, sign := range []int{1, -1} {
		conn, err := pgx.Connect(ctx, b.dsns[i])
		must(b.t, err)
		defer conn.Close(ctx)
		rows, err := conn.Query(ctx, `SELECT key, delta::int FROM shop.entry WHERE key NOT LIKE 'old%'`)
		must(b.t, err)
		found := map[string]int{}
		var key string
		var delta int
		_, err = pgx.ForEachRow(rows, []any{&key, &delta}, func() error { found[key] = sign * delta; return nil })
		must(b.t, err)
		if !maps.Equal(found, b.acked) {
			b.t.Errorf("database %d has %d transfers, of %d", i, len(found), len(b.acked))
		}
	}
}

// slow makes the COMMIT of a swap wait in one of the databases: the way there is a
// constraint that is checked then.
const slow = `CREATE TABLE public.slow ();
	CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON pgumbra.run DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (NEW.swap_xid IS DISTINCT FROM OLD.swap_xid) EXECUTE FUNCTION public.slow();`

const quick = `DROP TRIGGER slow ON pgumbra.run; DROP FUNCTION public.slow(); DROP TABLE public.slow;`

// killedAtCommit kills a command while the COMMIT of a swap waits in one of the databases,
// and waits until the server has ended that session.
func (b *bank) killedAtCommit(ctx context.Context, i int, command ...string) {
	b.t.Helper()
	const waits = `SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' AND wait_event = 'PgSleep' AND datname = current_database()`
	b.in(i, slow)
	p := b.start(ctx, command...)
	b.until(ctx, func() bool { return b.asked(i, waits) != "" }, p)
	must(b.t, p.Process.Signal(syscall.SIGKILL))
	p.code()
	b.until(ctx, func() bool { return b.asked(i, waits) == "" }, p)
	b.in(i, quick)
}

// until polls; a process that ends before is told of.
func (b *bank) until(ctx context.Context, done func() bool, p *process) {
	b.t.Helper()
	for !done() {
		select {
		case <-ctx.Done():
			b.t.Fatalf("%v\n%s%s", ctx.Err(), &p.out, &p.err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Two databases are upgraded as one while clients transfer between them: a client's lock
// in one keeps both from swapping, a process that dies between the commits is followed
// up, both go back together, and a process that dies before the first commit has done
// nothing.
func TestDatabasesOfAGroupSwapTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	b := newBank(t)
	b.use(ctx)
	b.do(ctx, exitDone, "run", "--until", "following")
	if got := b.phases(); got != "following following" {
		t.Fatal(got)
	}
	b.heldByAClient(ctx)
	b.dividedAndFollowedUp(ctx)
	b.do(ctx, exitDone, "verify")
	b.do(ctx, exitDone, "rollback", "--follow")
	if got := b.phases(); got != "following following" {
		t.Fatalf("after the rollback: %s", got)
	}
	b.killedAtCommit(ctx, 0, "cutover")
	if got := b.phases(); strings.Contains(got, "watching") {
		t.Fatalf("killed before the commit that decides: %s", got)
	}
	b.do(ctx, exitDone, "cutover")
	if got := b.phases(); got != "watching watching" {
		t.Fatal(got)
	}
	b.do(ctx, exitDone, "rollback")
	b.settle(ctx)
	b.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	for i := range b.dsns {
		if left := b.asked(i, `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname ~ '^pgumbra'`); left != "" {
			t.Errorf("left in %d: %s", i, left)
		}
	}
}

// heldByAClient wants that nothing swaps where a client holds a row of the second one.
func (b *bank) heldByAClient(ctx context.Context) {
	b.t.Helper()
	client, err := pgx.Connect(ctx, b.dsns[1])
	must(b.t, err)
	defer func() { _ = client.Close(ctx) }()
	_, err = client.Exec(ctx, `SET application_name = 'till'; BEGIN; SELECT FROM shop.entry WHERE key = 'old 1' FOR UPDATE`)
	must(b.t, err)
	p := b.do(ctx, exitNotNow, "cutover", "--set", "cutover.attempts=2")
	if text := p.err.String(); !strings.Contains(text, "till") || !strings.Contains(text, "orders: phase following") || !strings.Contains(text, "billing: phase following") {
		b.t.Errorf("who is in the way, and where: %s", text)
	}
	_, err = client.Exec(ctx, `UPDATE shop.entry SET delta = 0 WHERE key = 'old 1'; COMMIT`)
	must(b.t, err)
}

func (b *bank) dividedAndFollowedUp(ctx context.Context) {
	b.t.Helper()
	b.killedAtCommit(ctx, 1, "cutover")
	if got := b.phases(); got != "watching cutover" {
		b.t.Fatalf("killed between the commits: %s", got)
	}
	p := b.do(ctx, exitUnknown, "status", "--json")
	var s group.Status
	must(b.t, json.Unmarshal([]byte(p.out.String()), &s))
	fits(b.t, "group", p.out.String())
	if s.Divided == "" || s.Ready || len(s.Members) != 2 || s.Members[1].Member != "billing" {
		b.t.Errorf("status: %s", &p.out)
	}
	for _, refused := range [][]string{{"abort"}, {"finish"}, {"rollback"}} {
		if p := b.start(ctx, refused...); p.code() == exitDone {
			b.t.Errorf("%v of a divided group: %s%s", refused, &p.out, &p.err)
		}
	}
	b.do(ctx, exitDone, "run", "--cutover")
	if got := b.phases(); got != "watching watching" {
		b.t.Fatalf("after the next run: %s", got)
	}
	text := b.do(ctx, exitDone, "status").out.String()
	if !strings.Contains(text, "billing   watching") || strings.Contains(text, "DIVIDED") {
		b.t.Error(text)
	}
}

// A blocker in one database keeps all from beginning; a run of a group is not led by a
// plan file of one, nor the other way round; abort undoes all.
func TestGroupBeginsTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	b := newBank(t)
	single := fmt.Sprintf("name: up\nproduction: {dsn: %q, schemas: [shop]}\nmigrations: {path: migrations}\nscratch: {rows: 0}\n", b.dsns[1])
	b.write("single.yaml", single)
	b.in(1, `DROP TABLE shop.entry`)
	for _, command := range []string{"plan", "run"} {
		p := b.do(ctx, exitFindings, command)
		if !strings.Contains(p.err.String()+p.out.String(), "billing") {
			t.Errorf("%s: %s%s", command, &p.out, &p.err)
		}
	}
	if left := b.asked(0, `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname ~ '^pgumbra'`); left != "" {
		t.Errorf("left in orders, which had no blocker: %s", left)
	}
	b.in(1, `CREATE TABLE shop.entry (key text PRIMARY KEY, delta int NOT NULL)`)
	b.do(ctx, exitDone, "run", "--until", "copying")
	for _, command := range []string{"run --cutover", "cutover", "abort"} {
		p := b.do(ctx, exitError, append(strings.Fields(command), "-p", "single.yaml")...)
		if !strings.Contains(p.err.String(), "orders, billing") {
			t.Errorf("%s: %s", command, &p.err)
		}
	}
	b.do(ctx, exitUsage, "run", "--standby")
	b.do(ctx, exitUsage, "cutover", "--database", "billing")
	b.do(ctx, exitUsage, "history")
	b.do(ctx, exitDone, "status", "--database", "billing")
	b.do(ctx, exitDone, "abort", "--purge")
	for i := range b.dsns {
		if left := b.asked(i, `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname ~ '^pgumbra'`); left != "" {
			t.Errorf("left in %d: %s", i, left)
		}
	}
	b.do(ctx, exitDone, "run", "--until", "building", "-p", "single.yaml")
	if p := b.do(ctx, exitError, "run"); !strings.Contains(p.err.String(), "was begun by itself") {
		t.Error(p.err.String())
	}
}

// What went wrong with several databases has the gravest of their codes.
func TestTheGravestCodeIsThatOfAGroup(t *testing.T) {
	t.Parallel()
	e := &group.Error{Members: []group.MemberError{{Name: "a", Err: errors.New("x")}, {Name: "b", Err: fmt.Errorf("y: %w", errInterrupted)}}}
	if got := exitCode(e); got != exitError {
		t.Error(got)
	}
	if got := exitCode(errors.Join(group.ErrDivided, e)); got != exitUnknown {
		t.Error(got)
	}
	if slices.Contains(gravity, -1) {
		t.Error(gravity)
	}
}

// While the server of one database is away the others stand still, production goes on
// everywhere, and all go on together; a cutover is then done by the process that leads.
func TestGroupIsSuspendedTogetherAndGoesOn(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	b := newBank(t)
	way := testcontainers.StartProxy(t, testcontainers.Shared(t).Addr())
	b.write("pgumbra.yaml", fmt.Sprintf(ledgerPlan, b.dsns[0], way.Through(b.dsns[1])))
	b.use(ctx)
	p := b.start(ctx, "run")
	b.until(ctx, func() bool {
		const follows = `SELECT 'x' FROM pgumbra.shadow_table HAVING count(*) > 0 AND bool_and(verified_at IS NOT NULL)`
		return b.asked(0, follows)+b.asked(1, follows) == "xx"
	}, p)

	way.Cut()
	const suspended = `SELECT suspended FROM pgumbra.leader ORDER BY run_id DESC LIMIT 1`
	b.until(ctx, func() bool { return b.asked(0, suspended) != "" }, p)
	const position = `SELECT string_agg(position::text, ' ' ORDER BY n) FROM pgumbra.shadow_table`
	before, written := b.asked(0, position), b.asked(0, `SELECT count(*)::text FROM shop.entry`)
	b.until(ctx, func() bool { return b.asked(0, `SELECT count(*)::text FROM shop.entry`) != written }, p)
	text := b.do(ctx, exitDone, "status").out.String()
	if !strings.Contains(text, "suspended with the group: billing: ") || !strings.Contains(text, "cannot be asked") {
		t.Error(text)
	}
	if points := b.asked(0, `SELECT count(DISTINCT position::text)::text FROM pgumbra.shadow_table`); points != "1" {
		t.Errorf("its tables stand at %s snapshots", points)
	}
	if after := b.asked(0, position); after != before || before == "" {
		t.Errorf("it stood still at %s, and is at %s", before, after)
	}
	b.do(ctx, exitError, "cutover")

	way.Heal()
	b.until(ctx, func() bool { return b.asked(0, suspended) == "" && b.asked(0, position) != before }, p)
	b.do(ctx, exitDone, "cutover")
	if got := b.phases(); got != "watching watching" {
		t.Error(got)
	}
	b.settle(ctx)
	must(t, p.Process.Signal(syscall.SIGTERM))
	if code := p.code(); code != exitInterrupted {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
	b.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}
