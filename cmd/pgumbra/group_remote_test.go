package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

// newMovingBank is a bank of three databases behind one PgBouncer: two move to other
// databases, the last one is upgraded in place.
func newMovingBank(ctx context.Context, t *testing.T) *bank {
	t.Helper()
	b := newBankOf(t, "orders", "billing", "stock")
	pools := map[string]string{}
	for i, name := range b.names {
		pools[name] = b.dsns[i]
	}
	bouncer, err := testcontainers.StartPgBouncer(ctx, testcontainers.PgBouncerOptions{Databases: pools})
	must(t, err)
	t.Cleanup(func() { _ = bouncer.Stop(context.WithoutCancel(ctx)) })
	b.clients = nil
	for i, name := range b.names {
		b.clients = append(b.clients, bouncer.DSN(name))
		if i == 2 {
			continue
		}
		b.moves[i] = testcontainers.Database(t)
		target, err := pgx.ParseConfig(b.moves[i])
		must(t, err)
		b.entries[i] = fmt.Sprintf(", shadow: {dsn: %q}, traffic: {pgbouncer: {admin_dsn: %q, database: %s, config: %q, target: %q}}",
			b.moves[i], bouncer.AdminDSN(), name, bouncer.ConfigPath(), fmt.Sprintf("host=%s port=%d dbname=%s", target.Host, target.Port, target.Database))
	}
	b.planThrough(b.dsns...)
	return b
}

// ends are the two sides of a database that moves, as writers of both know them.
func ends(t *testing.T, from, to string) *operator {
	return &operator{t: t, dsn: from, there: to}
}

// writeToAll has both sides of the databases that move written to, past the pool.
func (b *bank) writeToAll(ctx context.Context, from, to []string) (wrote func()) {
	var all []*writers
	for i := range 2 {
		all = append(all, writeToBoth(ctx, ends(b.t, from[i], to[i]), remote))
	}
	return func() {
		b.t.Helper()
		for _, w := range all {
			w.wrote(ctx, b.t, 1)
		}
	}
}

// divided wants status to say so, with all that may not be done meanwhile.
func (b *bank) divided(ctx context.Context, says string, refused ...string) {
	b.t.Helper()
	p := b.do(ctx, exitUnknown, "status", "--json")
	var s group.Status
	must(b.t, json.Unmarshal([]byte(p.out.String()), &s))
	fits(b.t, "group", p.out.String())
	if !strings.Contains(s.Divided, says) || s.Ready || len(s.Members) != len(b.names) {
		b.t.Errorf("status: %s", &p.out)
	}
	for _, command := range refused {
		if p := b.start(ctx, command); p.code() == exitDone {
			b.t.Errorf("%v of a divided group: %s%s", command, &p.out, &p.err)
		}
	}
}

// refusesWrites wants a database to be fenced.
func (b *bank) refusesWrites(dsn string) {
	b.t.Helper()
	ctx := limited(b.t, 20*time.Second)
	conn, err := pgx.Connect(ctx, dsn)
	must(b.t, err)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `UPDATE shop.a SET n = n + 1`); pg.State(err) != pgerrcode.ReadOnlySQLTransaction {
		b.t.Errorf("%s takes writes: %v", dsn, err)
	}
}

// servedBy wants clients of the databases that move to reach these.
func (b *bank) servedBy(ctx context.Context, dsns []string) {
	b.t.Helper()
	for i := range 2 {
		there, err := pgx.Connect(ctx, dsns[i])
		must(b.t, err)
		f := &remoteOperator{operator: &operator{t: b.t, clients: b.clients[i] + "&default_query_exec_mode=exec"}}
		if want, got := identity(ctx, b.t, there), f.served(ctx); got != want {
			b.t.Errorf("clients of %s reach %s, not %s", b.names[i], got, want)
		}
		_ = there.Close(ctx)
	}
}

// moveTogether: two databases move to other ones, a third is upgraded in place, as one, while clients
// transfer between the three through PgBouncer. A process dies before the commit that
// decides, and between the commits, there and back: the next one closes the group, and
// never do both sides of a database take writes.
func moveTogether(t *testing.T) {
	ctx := limited(t, 5*time.Minute)
	b := newMovingBank(ctx, t)
	b.use(ctx)
	b.do(ctx, exitDone, "run", "--until", "following")

	wrote := b.writeToAll(ctx, b.dsns, b.moves)
	b.killedAtCommit(ctx, b.moves[0], "cutover")
	if got := b.phases(); strings.Contains(got, "watching") {
		t.Fatalf("killed before the commit that decides: %s", got)
	}
	b.do(ctx, exitDone, "status")
	b.killedAtCommit(ctx, b.moves[1], "cutover")
	b.divided(ctx, "the shadow is production in orders, stock, and not yet in billing", "abort", "finish", "rollback")
	b.refusesWrites(b.dsns[1])
	b.do(ctx, exitDone, "run", "--cutover")
	if got := b.phases(); got != "watching watching watching" {
		t.Fatalf("after the next run: %s", got)
	}
	wrote()
	b.servedBy(ctx, b.moves)
	b.do(ctx, exitDone, "verify")

	for i := range 2 {
		b.in(b.moves[i], `UPDATE shop.a SET n = 1`) // as the writers count
	}
	wrote = b.writeToAll(ctx, b.moves, b.dsns)
	b.killedAtCommit(ctx, b.dsns[1], "rollback")
	b.divided(ctx, "orders, stock went back, and not yet billing", "cutover", "finish", "abort")
	b.do(ctx, exitDone, "run")
	if got := b.phases(); got != "rolled_back rolled_back rolled_back" {
		t.Fatalf("after the next run: %s", got)
	}
	wrote()
	b.servedBy(ctx, b.dsns)
	b.settle(ctx)
	b.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	b.nothingLeft()
}
