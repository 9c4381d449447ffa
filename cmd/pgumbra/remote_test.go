package main

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/examples/shop"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// remoteOperator is an operator whose shadow is in another database, with clients
// behind a PgBouncer. Between pgumbra and everything else are proxies.
type remoteOperator struct {
	*operator
	bouncer *testcontainers.PgBouncer
	// What the plan file leads to.
	toProduction, toShadow, toConsole *testcontainers.Proxy
}

// remoteFrom puts a PgBouncer before the production of o and lets the shadow be
// built in the database there.
func remoteFrom(t *testing.T, o *operator, there string) *remoteOperator {
	t.Helper()
	return remoteBehind(t, o, there, testcontainers.PgBouncerOptions{})
}

func remoteBehind(t *testing.T, o *operator, there string, options testcontainers.PgBouncerOptions) *remoteOperator {
	t.Helper()
	f := &remoteOperator{operator: o, bouncer: o.bouncer(options)}
	o.there, o.clients = there, f.bouncer.DSN("shop")+"&default_query_exec_mode=exec"
	f.toProduction, f.toShadow = proxyTo(t, o.dsn), proxyTo(t, there)
	f.toConsole = testcontainers.StartProxy(t, f.bouncer.Addr())
	return f
}

// bouncer is a PgBouncer before production.
func (o *operator) bouncer(options testcontainers.PgBouncerOptions) *testcontainers.PgBouncer {
	o.t.Helper()
	ctx := limited(o.t, time.Minute)
	options.Databases = map[string]string{"shop": o.dsn}
	b, err := testcontainers.StartPgBouncer(ctx, options)
	must(o.t, err)
	o.t.Cleanup(func() { _ = b.Stop(context.WithoutCancel(ctx)) })
	return b
}

func proxyTo(t *testing.T, dsn string) *testcontainers.Proxy {
	t.Helper()
	c, err := pgx.ParseConfig(dsn)
	must(t, err)
	return testcontainers.StartProxy(t, fmt.Sprintf("%s:%d", c.Host, c.Port))
}

// planLines are what a plan file says of the other side. Patience is long, so
// that a test can stop a cutover at one of its steps and look.
func (f *remoteOperator) planLines() string {
	target, err := pgx.ParseConfig(f.there)
	must(f.t, err)
	return fmt.Sprintf("shadow: {dsn: %q}\ntraffic:\n  pgbouncer: {admin_dsn: %q, database: shop, config: %q, target: %q}\ncutover: {max_stall: 20s, lock_timeout: 10s}\n",
		f.toShadow.Through(f.there), f.toConsole.Through(f.bouncer.AdminDSN()), f.bouncer.ConfigPath(),
		fmt.Sprintf("host=%s port=%d dbname=%s", target.Host, target.Port, target.Database))
}

// remoteSmall is the small setting, small enough for many runs.
func remoteSmall(t *testing.T, extra string) *remoteOperator {
	t.Helper()
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t), run: "up"}
	o.sql(small.sql)
	f := remoteFrom(t, o, testcontainers.Database(t))
	f.settleThrough(small.with("", nil, extra))
	return f
}

// settleThrough writes migrations and a plan file that leads through proxies.
func (f *remoteOperator) settleThrough(s setting) {
	f.t.Helper()
	direct := f.dsn
	f.dsn = f.toProduction.Through(direct)
	f.settle(s.with("", nil, f.planLines()))
	f.dsn = direct
}

// remoteShop is a shop of 40,000 orders in one database, to be led to another.
func remoteShop(t *testing.T, production, there string) *remoteOperator {
	t.Helper()
	ctx := limited(t, time.Minute)
	o := &operator{t: t, dir: t.TempDir(), dsn: production, run: "up", env: []string{"PGUMBRA_MIGRATIONS_FROM=1"}}
	conn := o.connect(ctx)
	defer conn.Close(ctx)
	must(t, shop.Load(ctx, conn, oneInFive))
	f := remoteFrom(t, o, there)
	f.settleThrough(setting{})
	must(t, shop.WriteMigrations(filepath.Join(f.dir, "migrations")))
	return f
}

// movedOver wants production fenced, clients at the shadow, and nothing left to
// be done.
func (f *remoteOperator) movedOver(ctx context.Context) {
	f.t.Helper()
	conn := f.connect(ctx)
	defer conn.Close(ctx)
	var table string
	must(f.t, conn.QueryRow(ctx, `SELECT min(format('%I.%I', schemaname, tablename)) FROM pg_tables WHERE schemaname = 'shop'`).Scan(&table))
	_, err := conn.Exec(ctx, "DELETE FROM "+table)
	if pg.State(err) != pgerrcode.ReadOnlySQLTransaction {
		f.t.Errorf("production takes writes after the cutover: %v", err)
	}
	there := f.connectTo(ctx, theShadow)
	defer func() { _ = there.Close(ctx) }()
	if want, got := identity(ctx, f.t, there), f.served(ctx); got != want {
		f.t.Errorf("clients are led to %s, not to %s", got, want)
	}
	if left := f.query(ctx, `SELECT switch::text FROM pgumbra.run`); left != "" {
		f.t.Errorf("the cutover is not over: %s", left)
	}
}

// endsWatch ends the watch, which a leader has kept the old side current in, and
// wants it to end with that.
func (f *remoteOperator) endsWatch(ctx context.Context, leader *process, how ...string) {
	f.t.Helper()
	f.do(ctx, exitDone, append([]string{"finish"}, how...)...)
	if got := leader.code(); got != exitDone {
		f.t.Errorf("the leader of the watch: exit code %d\n%s", got, &leader.err)
	}
}

// served is the database that clients reach.
func (f *remoteOperator) served(ctx context.Context) string {
	f.t.Helper()
	conn, err := pgx.Connect(ctx, f.clients)
	must(f.t, err)
	defer conn.Close(ctx)
	return identity(ctx, f.t, conn)
}

func identity(ctx context.Context, t *testing.T, conn *pgx.Conn) (name string) {
	t.Helper()
	must(t, conn.QueryRow(ctx, `SELECT current_database() || ' at ' || inet_server_port()`).Scan(&name))
	return name
}
