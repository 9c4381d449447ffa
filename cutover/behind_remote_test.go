package cutover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// migratesBehind gives a run to another database migrations behind the fence:
// the first of them must not run twice, and draws a number.
func (f *fixture) migratesBehind(more ...string) *fixture {
	f.t.Helper()
	built, to := int64(7), int64(8)
	texts := append([]string{"INSERT INTO shop.entry (account, delta, client, n) SELECT 1, 1, 7, nextval('shop.ticket')",
		"ALTER TABLE shop.account ADD COLUMN told bigint; UPDATE shop.account SET told = (SELECT count(*) FROM shop.entry)"}, more...)
	b := &plans.Behind{From: 8, Built: &built, Session: map[string]string{"search_path": "shop"}}
	for i, text := range texts {
		to = int64(8 + i)
		b.Files = append(b.Files, plans.BehindFile{Version: to, Name: "8_step.up.sql", Statements: []syntax.ScriptStatement{{Line: 1, SQL: text, Manner: syntax.Run}}})
	}
	f.Upgrade.Plan.Behind, f.Upgrade.Plan.ToVersion = b, &to
	return f
}

// untouched: production's side lives, and the shadow shows nothing of the
// migrations.
func (f *fixture) untouched(at string) {
	f.t.Helper()
	f.livesIn(traffic.Production)
	if get[bool](f.there, `SELECT EXISTS (SELECT FROM pgumbra_r1_shop.entry WHERE client = 7)
		OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'pgumbra_r1_shop.account'::regclass AND attname = 'told')`) {
		f.t.Errorf("%s: the shadow holds what was undone", at)
	}
	if f.t.Failed() {
		f.t.Fatal(at)
	}
}

// migratedOnce: the shadow is production, and each migration ran once.
func (f *fixture) migratedOnce() {
	f.t.Helper()
	f.livesIn(traffic.Shadow)
	if n := get[int](f.there, "SELECT count(*)::int FROM shop.entry WHERE client = 7"); n != 1 {
		f.t.Errorf("the migration ran %d times", n)
	}
	if v := get[int64](f.there, "SELECT version FROM shop.schema_migrations WHERE NOT dirty"); v != *f.Upgrade.Plan.ToVersion {
		f.t.Errorf("version %d", v)
	}
	drawn := get[int](f.there, "SELECT n FROM shop.entry WHERE client = 7")
	if next := get[int](f.there, "SELECT nextval('shop.ticket')::int"); next != drawn+3*5 { // the sequence caches three
		f.t.Errorf("the migration drew %d, and the next number is %d", drawn, next)
	}
	first := get[int](f, "SELECT (last_value + CASE WHEN is_called THEN 5 ELSE 0 END)::int FROM public.pgumbra_lasting")
	if drawn != first {
		f.t.Errorf("the migration drew %d, in place it would have drawn %d", drawn, first)
	}
}

// notesTicket keeps where production's sequence stands, which the cutover closes.
func (f *fixture) notesTicket() *fixture {
	f.exec("CREATE TABLE public.pgumbra_lasting AS SELECT last_value, is_called FROM shop.ticket")
	return f
}

// behindMoments are those at which migrations may be under way or done.
var behindMoments = []string{"after swap", "after run the migrations", "after record the swap", "after look again",
	"after refuse writes to production", "after redirect clients", "after note the decision", "before commit"}

func TestMigrationsBehindTheFenceApartHappenOnceOrNot(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	f := remoteShop(t).behindBouncer().migratesBehind().notesTicket()
	for _, at := range behindMoments {
		f.fails(at, func() error { return errInjected })
		out, err := f.Attempt(context.Background())
		if !errors.Is(err, errInjected) || out.Swapped {
			t.Errorf("%s: %+v, %v", at, out, err)
		}
		f.untouched(at)
	}
	for _, at := range behindMoments {
		f.dies(at)
		f.resolves(WentBack)
		f.untouched("death " + at)
	}
	f.dies("after commit")
	f.resolves(WentForward)
	f.migratedOnce()
	if files := get[int](f, "SELECT json_array_length(cutover->'migrations') FROM pgumbra.run"); files != 2 {
		t.Errorf("%d migrations are told", files)
	}
}

func TestConnectionLostAtTheCommitOfMigrationsApart(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for name, lose := range map[string]bool{"answer": false, "commit": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := remoteShop(t).behindBouncer().migratesBehind().notesTicket()
			f.settle(10*time.Second, time.Second)
			var p *proxy
			p, f.ShadowDSN = f.proxied(f.there.dsn)
			p.lose = lose
			f.fails("before commit", func() error { p.armed.Store(true); return nil })
			if lose {
				f.refuses("connection-lost", "")
				f.untouched("a lost commit")
				f.ShadowDSN, f.hook = f.there.dsn, nil
			}
			f.swaps()
			f.migratedOnce()
		})
	}
}

// The server ends the session in the middle of a migration: it is not the
// migration's fault, and the next attempt runs all of them.
func TestSessionEndedWithinAMigrationApartIsUndone(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer().migratesBehind("SELECT pg_sleep(CASE WHEN EXISTS (SELECT FROM pg_class WHERE relname = 'slow') THEN 30 ELSE 0 END)").notesTicket()
	f.there.exec("CREATE TABLE public.slow AS SELECT 1")
	f.settle(20*time.Second, time.Second)
	done := make(chan error, 1)
	go func() {
		out, err := f.Attempt(context.Background())
		if err == nil && (out.Swapped || slices.ContainsFunc(out.Blockers, func(b Blocker) bool { return b.Code == CodeMigrationFailed })) {
			err = errors.New("swapped, or the migration is blamed")
		} else {
			err = nil
		}
		done <- err
	}()
	sleeps := "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event = 'PgSleep'"
	waitFor(t, f.there.pool, "SELECT EXISTS (SELECT "+sleeps+")")
	f.there.exec("SELECT pg_terminate_backend(pid) " + sleeps)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f.untouched("a session that was ended")
	f.there.exec("DROP TABLE public.slow")
	f.swaps()
	f.migratedOnce()
}

func TestMigrationThatFailsApartIsToldAndUndone(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer().migratesBehind("CREATE UNIQUE INDEX twice ON shop.account (currency)").notesTicket()
	ctx := context.Background()
	_, err := f.copyAll(ctx)
	if err := errors.Join(err, f.CloseShadow(ctx)); err != nil { // as it follows
		t.Fatal(err)
	}
	trial, err := f.Trial(ctx)
	if err != nil || trial.Where != "8_step.up.sql:1" || !strings.Contains(trial.Failed, "23505") || len(trial.Files) != 2 {
		t.Errorf("%+v, %v", trial, err)
	}
	f.untouched("a trial")
	f.refuses(CodeMigrationFailed, "23505")
	f.untouched("a failure")
	f.Upgrade.Plan.Behind.Files = f.Upgrade.Plan.Behind.Files[:2]
	*f.Upgrade.Plan.ToVersion = 9
	if trial, err = f.Trial(ctx); err != nil || trial.Failed != "" || len(trial.Files) != 2 {
		t.Errorf("%+v, %v", trial, err)
	}
	f.untouched("another trial")
	f.swaps()
	f.migratedOnce()
}
