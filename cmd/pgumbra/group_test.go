package main

import (
	"context"
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

// ledger is one of several databases between which clients transfer: an entry in each.
var ledger = setting{
	sql: `CREATE SCHEMA shop;
		CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
		INSERT INTO public.schema_migrations VALUES (1, false);
		CREATE TABLE shop.entry (key text PRIMARY KEY, delta int NOT NULL);
		CREATE TABLE shop.a (id int PRIMARY KEY, n int NOT NULL);
		INSERT INTO shop.a VALUES (1, 1);
		INSERT INTO shop.entry SELECT 'old ' || n, 0 FROM generate_series(1, 300) n;`,
	migrations: map[string]string{
		"1_base.up.sql":  "SELECT 1;",
		"2_cents.up.sql": "ALTER TABLE shop.entry ALTER COLUMN delta TYPE bigint;\nALTER TABLE shop.entry ADD COLUMN cents bigint;\nUPDATE shop.entry SET cents = delta * 100;",
	},
}

// bank is an operator of several, and the clients that use all of them.
type bank struct {
	*operator
	names   []string
	dsns    []string // of production
	moves   []string // of the shadow; empty: in place
	clients []string // where clients connect
	entries []string // more of each entry of the plan file

	mu       sync.Mutex
	acked    map[string]int // key to delta in the first one
	failures []string
	halt     context.CancelFunc
	halted   sync.WaitGroup
}

func newBank(t *testing.T) *bank { return newBankOf(t, "orders", "billing") }

func newBankOf(t *testing.T, names ...string) *bank {
	t.Helper()
	var dsns []string
	for range names {
		dsns = append(dsns, testcontainers.Database(t))
	}
	return newBankIn(t, dsns, names...)
}

func newBankIn(t *testing.T, dsns []string, names ...string) *bank {
	t.Helper()
	b := &bank{operator: &operator{t: t, dir: t.TempDir(), run: "up"}, names: names, dsns: dsns, acked: map[string]int{},
		moves: make([]string, len(names)), entries: make([]string, len(names))}
	for _, dsn := range b.dsns {
		b.in(dsn, ledger.sql)
	}
	b.dsn, b.clients = b.dsns[0], b.dsns
	must(t, os.Mkdir(filepath.Join(b.dir, "migrations"), 0o755))
	for name, text := range ledger.migrations {
		b.write("migrations/"+name, text)
	}
	b.planThrough(b.dsns...)
	return b
}

// planThrough writes the plan file, which leads to production by these ways.
func (b *bank) planThrough(dsns ...string) {
	b.t.Helper()
	text := "name: up\nproduction:\n  schemas: [shop]\n  databases:\n"
	for i, name := range b.names {
		text += fmt.Sprintf("    - {name: %s, dsn: %q%s}\n", name, dsns[i], b.entries[i])
	}
	b.write("pgumbra.yaml", text+"migrations: {path: migrations}\nscratch: {rows: 0}\n")
}

// in runs a script in one of the databases.
func (b *bank) in(dsn, script string) {
	b.t.Helper()
	ctx := limited(b.t, 30*time.Second)
	conn, err := pgx.Connect(ctx, dsn)
	must(b.t, err)
	defer conn.Close(ctx)
	must(b.t, conn.PgConn().Exec(ctx, script).Close())
}

// asked is one text of one of the databases.
func (b *bank) asked(dsn, sql string) string {
	o := *b.operator
	o.dsn = dsn
	return o.query(limited(b.t, 20*time.Second), sql)
}

func (b *bank) phases() string {
	var all []string
	for _, dsn := range b.dsns {
		all = append(all, b.asked(dsn, `SELECT phase FROM pgumbra.run ORDER BY id DESC LIMIT 1`))
	}
	return strings.Join(all, " ")
}

// nothingLeft wants nothing of pgumbra's in any of the databases.
func (b *bank) nothingLeft() {
	b.t.Helper()
	for _, dsn := range append(slices.Clone(b.dsns), b.moves...) {
		if left := b.asked(dsn, `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname ~ '^pgumbra'`); dsn != "" && left != "" {
			b.t.Errorf("left in %s: %s", dsn, left)
		}
	}
}

// use lets clients transfer until settled. The name of each transfer is a key in both.
func (b *bank) use(ctx context.Context) {
	ctx, b.halt = context.WithCancel(ctx)
	for c := range 2 {
		b.halted.Go(func() { b.transfer(ctx, c) })
	}
}

func (b *bank) transfer(ctx context.Context, client int) {
	conns := make([]*pgx.Conn, len(b.clients))
	for i, dsn := range b.clients {
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
		for i, conn := range conns {
			if _, err := conn.Exec(context.WithoutCancel(ctx), `INSERT INTO shop.entry (key, delta) VALUES ($1, $2)`, key, signOf(i)*delta); err != nil {
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

// signOf: what the first database gets the others pay.
func signOf(i int) int {
	if i == 0 {
		return 1
	}
	return -1
}

func (b *bank) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = append(b.failures, err.Error())
}

// settle stops the clients and wants each transfer in all databases, once.
func (b *bank) settle(ctx context.Context) {
	b.t.Helper()
	b.halt()
	b.halted.Wait()
	if len(b.failures) > 0 || len(b.acked) < 10 {
		b.t.Errorf("%d transfers; clients saw %v", len(b.acked), b.failures)
	}
	for i, dsn := range b.dsns {
		conn, err := pgx.Connect(ctx, dsn)
		must(b.t, err)
		defer conn.Close(ctx)
		rows, err := conn.Query(ctx, `SELECT key, delta::int FROM shop.entry WHERE key NOT LIKE 'old%'`)
		must(b.t, err)
		found := map[string]int{}
		var key string
		var delta int
		_, err = pgx.ForEachRow(rows, []any{&key, &delta}, func() error { found[key] = signOf(i) * delta; return nil })
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

// committing are the sessions whose COMMIT waits so.
const committing = `SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' AND wait_event = 'PgSleep' AND datname = current_database()`

// killedAtCommit kills a command while the COMMIT of a swap waits in one of the databases,
// and waits until the server has ended that session.
func (b *bank) killedAtCommit(ctx context.Context, dsn string, command ...string) {
	b.t.Helper()
	b.in(dsn, slow)
	p := b.start(ctx, command...)
	b.until(ctx, func() bool { return b.asked(dsn, committing) != "" }, p)
	must(b.t, p.Process.Signal(syscall.SIGKILL))
	p.code()
	b.until(ctx, func() bool { return b.asked(dsn, committing) == "" }, p)
	b.in(dsn, quick)
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

// The life of a group, in one of its places: make test-whole goes through both.
func TestDatabasesOfAGroupSwapTogetherOrNotAtAll(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	for place, life := range testcontainers.SomeOf(t, map[string]func(*testing.T){inPlace: swapTogether, remote: moveTogether}, 1) {
		t.Run(place, life)
	}
}

// swapTogether: two databases are upgraded as one while clients transfer between them: a client's lock
// in one keeps both from swapping, a process that dies between the commits is followed
// up, both go back together, and a process that dies before the first commit has done
// nothing.
func swapTogether(t *testing.T) {
	ctx := limited(t, 4*time.Minute)
	b := newBank(t)
	b.use(ctx)
	b.do(ctx, exitDone, "run", "--until", "following")
	if got := b.phases(); got != "following following" {
		t.Fatal(got)
	}
	b.heldByAClient(ctx)
	b.differs(ctx)
	b.dividedAndFollowedUp(ctx)
	b.do(ctx, exitDone, "verify")
	b.killedAtCommit(ctx, b.dsns[1], "rollback", "--follow")
	b.divided(ctx, "orders went back, and not yet billing", "abort", "finish", "cutover")
	b.do(ctx, exitDone, "run", "--until", "following")
	if got := b.phases(); got != "following following" {
		t.Fatalf("after the rollback: %s", got)
	}
	b.killedAtCommit(ctx, b.dsns[0], "cutover")
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
	b.nothingLeft()
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
	b.killedAtCommit(ctx, b.dsns[1], "cutover")
	if got := b.phases(); got != "watching cutover" {
		b.t.Fatalf("killed between the commits: %s", got)
	}
	b.divided(ctx, "the shadow is production in orders, and not yet in billing", "abort", "finish", "rollback")
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
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 4*time.Minute)
	b := newBank(t)
	single := fmt.Sprintf("name: up\nproduction: {dsn: %q, schemas: [shop]}\nmigrations: {path: migrations}\nscratch: {rows: 0}\n", b.dsns[1])
	b.write("single.yaml", single)
	b.in(b.dsns[1], `DROP TABLE shop.entry`)
	for _, command := range []string{"plan", "run"} {
		p := b.do(ctx, exitFindings, command)
		if !strings.Contains(p.err.String()+p.out.String(), "billing") {
			t.Errorf("%s: %s%s", command, &p.out, &p.err)
		}
	}
	p := b.do(ctx, exitFindings, "plan", "--json")
	fits(t, "group-plan", p.out.String())
	if text := p.err.String(); !strings.Contains(text, `"members":[{"member":"billing"`) {
		t.Errorf("which database has a blocker: %s", text)
	}
	if left := b.asked(b.dsns[0], `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname ~ '^pgumbra'`); left != "" {
		t.Errorf("left in orders, which had no blocker: %s", left)
	}
	b.in(b.dsns[1], `CREATE TABLE shop.entry (key text PRIMARY KEY, delta int NOT NULL)`)
	b.do(ctx, exitDone, "run", "--until", "copying")
	for _, command := range []string{"run --cutover", "cutover", "abort"} {
		p := b.do(ctx, exitError, append(strings.Fields(command), "-p", "single.yaml")...)
		if !strings.Contains(p.err.String(), "orders, billing") {
			t.Errorf("%s: %s", command, &p.err)
		}
	}
	b.do(ctx, exitUsage, "cutover", "--database", "billing")
	for _, command := range []string{"history", "report", "rehearse", "plan --format html"} {
		p := b.do(ctx, exitUsage, strings.Fields(command)...)
		if !strings.Contains(p.err.String(), "Next: pgumbra "+command+" --database orders") {
			t.Errorf("%s: %s", command, &p.err)
		}
	}
	if text := b.do(ctx, exitDone, "status", "--database", "billing").out.String(); !strings.Contains(text, "up, billing") {
		t.Errorf("status of one: %s", text)
	}
	b.do(ctx, exitDone, "history", "--database", "billing")
	b.tellsOfEach(ctx)
	b.do(ctx, exitDone, "abort", "--purge")
	b.nothingLeft()
	b.do(ctx, exitDone, "run", "--until", "building", "-p", "single.yaml")
	if p := b.do(ctx, exitError, "run"); !strings.Contains(p.err.String(), "was begun by itself") {
		t.Error(p.err.String())
	}
}

// tellsOfEach wants of commands for all that they say which database they speak of.
func (b *bank) tellsOfEach(ctx context.Context) {
	b.t.Helper()
	for _, c := range []struct{ command, schema string }{{"plan --json", "group-plan"}, {"verify --json", "group-verify"}, {"status --json", "group"}} {
		p := b.start(ctx, strings.Fields(c.command)...)
		p.code() // nothing is verified yet
		if c.command != "verify --json" || p.ProcessState.ExitCode() == exitDone {
			fits(b.t, c.schema, p.out.String())
		}
	}
	p := b.do(ctx, exitNotNow, "cutover", "--check", "--json")
	fits(b.t, "check", p.out.String())
	for _, name := range b.names {
		if !strings.Contains(p.out.String(), fmt.Sprintf(`"member":%q`, name)) {
			b.t.Errorf("cutover --check says nothing of %s: %s", name, &p.out)
		}
	}
	for _, command := range []string{"pause", "resume"} {
		text := b.do(ctx, exitDone, command).out.String()
		if !strings.Contains(text, "orders: ") || !strings.Contains(text, "billing: ") {
			b.t.Errorf("%s: %s", command, text)
		}
	}
	b.do(ctx, exitUsage, "init", "--production", b.dsns[0], "--production", b.dsns[1], "--schema", "shop", "-o", "other.yaml")
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
// everywhere, and all go on together; a cutover is then done by the process that leads,
// although the connection to one of them breaks between the commits. Once that one is
// killed, a standby leads all.
func TestGroupIsSuspendedTogetherAndGoesOn(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 4*time.Minute)
	b := newBank(t)
	way := testcontainers.StartProxy(t, testcontainers.Shared(t).Addr())
	b.planThrough(b.dsns[0], way.Through(b.dsns[1]))
	b.use(ctx)
	p := b.start(ctx, "run")
	b.until(ctx, func() bool {
		const follows = `SELECT 'x' FROM pgumbra.shadow_table HAVING count(*) > 0 AND bool_and(verified_at IS NOT NULL)`
		return b.asked(b.dsns[0], follows)+b.asked(b.dsns[1], follows) == "xx"
	}, p)

	way.Cut()
	const suspended = `SELECT suspended FROM pgumbra.leader ORDER BY run_id DESC LIMIT 1`
	b.until(ctx, func() bool { return b.asked(b.dsns[0], suspended) != "" }, p)
	const position = `SELECT string_agg(position::text, ' ' ORDER BY n) FROM pgumbra.shadow_table`
	before, written := b.asked(b.dsns[0], position), b.asked(b.dsns[0], `SELECT count(*)::text FROM shop.entry`)
	b.until(ctx, func() bool { return b.asked(b.dsns[0], `SELECT count(*)::text FROM shop.entry`) != written }, p)
	text := b.do(ctx, exitDone, "status").out.String()
	if !strings.Contains(text, "suspended with the group: billing: ") || !strings.Contains(text, "cannot be asked") {
		t.Error(text)
	}
	if points := b.asked(b.dsns[0], `SELECT count(DISTINCT position::text)::text FROM pgumbra.shadow_table`); points != "1" {
		t.Errorf("its tables stand at %s snapshots", points)
	}
	if after := b.asked(b.dsns[0], position); after != before || before == "" {
		t.Errorf("it stood still at %s, and is at %s", before, after)
	}
	b.do(ctx, exitError, "cutover")

	way.Heal()
	b.until(ctx, func() bool { return b.asked(b.dsns[0], suspended) == "" && b.asked(b.dsns[0], position) != before }, p)
	next := b.start(ctx, "run", "--standby")
	b.until(ctx, func() bool { return b.asked(b.dsns[0], `SELECT count(*)::text FROM pgumbra.standby`) == "1" }, next)
	b.cutBetweenCommits(ctx, way, p)
	b.settle(ctx)
	must(t, p.Process.Signal(syscall.SIGKILL))
	p.code()
	p = next
	b.until(ctx, func() bool {
		const leads = `SELECT string_agg(l.pid::text, ' ') FROM pgumbra.leader l WHERE l.heartbeat IS NOT NULL`
		pid := fmt.Sprint(p.Process.Pid)
		return b.asked(b.dsns[0], leads) == pid && b.asked(b.dsns[1], leads) == pid
	}, p)
	must(t, p.Process.Signal(syscall.SIGTERM))
	if code := p.code(); code != exitInterrupted {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
	b.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

// cutBetweenCommits breaks the connections to billing while the COMMIT of its swap waits
// there: the server rolls it back, and the process that leads closes the group by itself.
func (b *bank) cutBetweenCommits(ctx context.Context, way *testcontainers.Proxy, leader *process) {
	b.t.Helper()
	b.in(b.dsns[1], slow)
	asks := b.start(ctx, "cutover", "--at", time.Now().Add(2*time.Second).Format(time.TimeOnly), "--window", "1m")
	b.until(ctx, func() bool { return b.asked(b.dsns[1], committing) != "" }, leader)
	way.Cut()
	b.until(ctx, func() bool { return b.asked(b.dsns[1], committing) == "" }, leader)
	b.in(b.dsns[1], quick)
	asks.code()
	if got := b.phases(); got != "watching cutover" {
		b.t.Fatalf("cut between the commits: %s\n%s", got, &asks.err)
	}
	way.Heal()
	b.until(ctx, func() bool { return b.phases() == "watching watching" }, leader)
}
