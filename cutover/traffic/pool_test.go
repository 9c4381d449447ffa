package traffic

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestClientsAreLedToTheShadowAndBackWithoutAFailure(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	for _, dsn := range []string{f.file.Production.DSN, f.file.Shadow.DSN} {
		run(t, client(t, dsn), "CREATE TABLE ledger (id bigserial PRIMARY KEY)")
	}
	f.change("shop = ", "; shop = host=comment\nother = host=nowhere password='it''s'\nshop\t=   pool_size=3  ")
	f.admin("RELOAD")
	original := f.config()
	before, _ := os.Stat(f.bouncer.ConfigPath())
	c := f.clients(4)
	await(t, "first transactions", func() bool { return c.total.Load() > 100 })

	f.must(f.traffic.Pause)
	f.wantSide(Side{Leads: Production, File: Production, Paused: true})
	f.must(leadTo(f.traffic, Shadow))
	f.wantSide(Side{Leads: Shadow, File: Shadow, Paused: true})
	if c.shadow.Load() != 0 {
		t.Error("a client reached the shadow before Resume")
	}
	f.must(f.traffic.Resume)
	await(t, "transactions in the shadow", func() bool { return c.shadow.Load() > 100 })
	f.wantSide(Side{Leads: Shadow, File: Shadow})
	f.must(f.traffic.Pause)
	f.must(leadTo(f.traffic, Production))
	f.must(f.traffic.Resume)
	total := c.total.Load()
	await(t, "transactions in production again", func() bool { return c.total.Load() > total+100 })
	close(c.stop)
	if err := c.group.Wait(); err != nil {
		t.Errorf("a client failed: %v", err)
	}
	if diff := cmp.Diff(original, f.config()); diff != "" {
		t.Errorf("the configuration is not as it was: %s", diff)
	}
	after, _ := os.Stat(f.bouncer.ConfigPath())
	if diff := cmp.Diff(owner(before), owner(after)); diff != "" {
		t.Errorf("owner or mode changed: %s", diff)
	}
	f.finish()
}

// finish wants nothing left beside the configuration.
func (f *fixture) finish() {
	f.t.Helper()
	if _, err := os.Stat(f.bouncer.ConfigPath() + ".pgumbra-shop-v2"); err != nil {
		f.t.Errorf("the old configuration was not kept: %v", err)
	}
	if err := f.traffic.Finish(); err != nil {
		f.t.Error(err)
	}
	left, _ := os.ReadDir(strings.TrimSuffix(f.bouncer.ConfigPath(), "pgbouncer.ini"))
	for _, file := range left {
		if strings.Contains(file.Name(), "pgumbra") {
			f.t.Errorf("%s is left", file.Name())
		}
	}
}

func TestPauseThatDoesNotEndLetsClientsGoOn(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	holder, other := client(t, f.bouncer.DSN("shop")), client(t, f.bouncer.DSN("shop"))
	run(t, holder, "BEGIN")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := f.traffic.Pause(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
	if err == nil || !strings.Contains(err.Error(), "open transactions: 1") {
		t.Errorf("%v does not say what it waited for", err)
	}
	f.wantSide(Side{Leads: Production, File: Production})
	run(t, other, "SELECT 1")
	run(t, holder, "COMMIT")
	f.must(f.traffic.Pause)
	f.must(f.traffic.Pause)
	f.must(f.traffic.Resume)
	f.must(f.traffic.Resume)
}

// PgBouncer answers a PAUSE at once, and wrongly, once it was told WAIT_CLOSE.
func TestPauseIsNotBelievedWhileTransactionsAreOpen(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	holder := client(t, f.bouncer.DSN("shop"))
	f.admin("WAIT_CLOSE shop")
	run(t, holder, "BEGIN")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := f.traffic.Pause(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	run(t, holder, "COMMIT")
	f.must(f.traffic.Pause)
	f.must(f.traffic.Resume)
}

func TestSwitchWantsClientsHeld(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	original := f.config()
	if err := f.traffic.Switch(t.Context(), Shadow); !errors.Is(err, ErrNotPaused) || errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
	f.must(f.traffic.Pause)
	if err := f.bouncer.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantSide(Side{Leads: Production, File: Production})
	if err := f.traffic.Switch(t.Context(), Shadow); !errors.Is(err, ErrNotPaused) || errors.Is(err, ErrUnknown) {
		t.Errorf("after a restart: %v", err)
	}
	if diff := cmp.Diff(original, f.config()); diff != "" {
		t.Error(diff)
	}
}

// 1.18 answers RELOAD with success whatever it could read.
func TestSwitchIsTakenBackWhenPgBouncerDoesNotLoadIt(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	for name, c := range map[string]struct{ old, bad, says string }{
		"a syntax error, seen before": {"[databases]\n", "[databases]\nbroken\n", "pgbouncer.ini:2"},
		"an error before the entry":   {"[databases]\n", "[databases]\nbroken = nonsense=1\n", "RELOAD"},
		"settings loaded half":        {"pool_mode = transaction", "pool_mode = nonsense", "RELOAD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, testcontainers.PgBouncerOptions{})
			f.must(f.traffic.Pause)
			f.change(c.old, c.bad)
			bad := f.config()
			err := f.traffic.Switch(t.Context(), Shadow)
			if err == nil || errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), c.says) && !strings.Contains(err.Error(), "did not take") {
				t.Errorf("%v", err)
			}
			if diff := cmp.Diff(bad, f.config()); diff != "" {
				t.Errorf("the file was not taken back: %s", diff)
			}
			f.change(c.bad, c.old)
			f.wantSide(Side{Leads: Production, File: Production, Paused: true})
			f.admin("RELOAD")
			f.must(leadTo(f.traffic, Shadow))
			f.wantSide(Side{Leads: Shadow, File: Shadow, Paused: true})
		})
	}
}

func TestARestartKeepsWhereTheSwitchLed(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	f.must(f.traffic.Pause)
	f.must(leadTo(f.traffic, Shadow))
	if err := f.bouncer.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	side, err := f.traffic.Side(t.Context())
	if err == nil || side != (Side{Leads: Unknown, File: Shadow}) {
		t.Errorf("PgBouncer is down: %+v (%v)", side, err)
	}
	if err := f.bouncer.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantSide(Side{Leads: Shadow, File: Shadow})
	f.must(f.traffic.Resume)
	if got := currentDatabase(t, client(t, f.bouncer.DSN("shop"))); got != databaseOf(t, f.file.Shadow.DSN) {
		t.Errorf("led to %s", got)
	}
}

// Between the new file and RELOAD a process can die.
func TestTheNextProcessGoesOnWhereOneDied(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	for name, want := range map[string]Place{"forward": Shadow, "back": Production} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, testcontainers.PgBouncerOptions{})
			original := f.config()
			f.must(f.traffic.Pause)
			if _, err := f.traffic.members[0].(*pool).edit(t.Context(), Shadow); err != nil {
				t.Fatal(err)
			}
			f.traffic = open(t, f.file)
			f.wantSide(Side{Leads: Production, File: Shadow, Paused: true})
			f.must(leadTo(f.traffic, want))
			f.wantSide(Side{Leads: want, File: want, Paused: true})
			f.must(leadTo(f.traffic, Production))
			if diff := cmp.Diff(original, f.config()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSomebodyElsesEntryIsElsewhere(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	f.must(f.traffic.Pause)
	f.must(leadTo(f.traffic, Shadow))
	f.change("dbname="+databaseOf(t, f.file.Shadow.DSN), "dbname=third")
	f.wantSide(Side{Leads: Shadow, File: Remote, Paused: true})
}

func TestOnePgBouncersFailureIsAllOnes(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	second := startBouncer(t, testcontainers.PgBouncerOptions{Databases: map[string]string{"shop": f.file.Production.DSN}})
	f.serve(second)
	f.must(f.traffic.Pause)
	if err := second.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.traffic.Switch(t.Context(), Shadow); !errors.Is(err, ErrNotPaused) || errors.Is(err, ErrUnknown) {
		t.Errorf("switch: %v", err)
	}
	f.wantSide(Side{Leads: Production, File: Production, Paused: true})
	f.must(f.traffic.Pause)
	f.must(leadTo(f.traffic, Shadow))
	f.wantSide(Side{Leads: Shadow, File: Shadow, Paused: true})
	f.must(f.traffic.Resume)
	if err := second.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.traffic.Pause(t.Context()); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("pause: %v", err)
	}
	run(t, client(t, f.bouncer.DSN("shop")), "SELECT 1")
}

func TestTwoEntriesOfOneFileAreLedTogether(t *testing.T) {
	t.Parallel()
	production := testcontainers.Database(t)
	f := start(t, testcontainers.PgBouncerOptions{Databases: map[string]string{"shop": production, "reports": production}})
	f.file.Traffic.PgBouncer = append(f.file.Traffic.PgBouncer, f.file.Traffic.PgBouncer[0])
	f.file.Traffic.PgBouncer[1].Database = "reports"
	f.traffic = open(t, f.file)
	original := f.config()
	f.must(f.traffic.Pause)
	f.must(leadTo(f.traffic, Shadow))
	f.wantSide(Side{Leads: Shadow, File: Shadow, Paused: true})
	f.must(leadTo(f.traffic, Production))
	if diff := cmp.Diff(original, f.config()); diff != "" {
		t.Error(diff)
	}
}
