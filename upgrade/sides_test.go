package upgrade_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// failedOver makes the shadow believe that it was copied from production before
// a standby of it was promoted.
const failedOver = `UPDATE pgumbra.run SET origin = jsonb_set(origin::jsonb, '{timeline}', '"000000FF"')::json`

// pair is a run with its shadow in another database, following, and what both
// held before it.
func remote(ctx context.Context, t *testing.T) (w *world, production, shadow string) {
	t.Helper()
	w = build(t, history{
		structure: `CREATE SCHEMA shop;
			CREATE TABLE shop.a (id int PRIMARY KEY, v int NOT NULL); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 1000) n;`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
		remote:     testcontainers.Database(t),
	})
	production, shadow = dump(t, w.production), dump(t, w.served)
	w.run(ctx, upgrade.Options{Until: control.Following})
	return w, production, shadow
}

// refused runs on and expects an error.
func (w *world) refused(ctx context.Context, want error) {
	w.t.Helper()
	err := upgrade.Run(ctx, w.file(), upgrade.Options{Cutover: true, Log: w.log})
	if !errors.Is(err, want) {
		w.t.Fatalf("got %v, want %v", err, want)
	}
}

func TestRunStaysWithTheShadowThatItBeganWith(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w, production, shadow := remote(ctx, t)
	other, was := testcontainers.Database(t), w.served
	untouched := dump(t, other)
	w.edit(was, other)
	w.refused(ctx, control.ErrOtherShadow)
	if diff := cmp.Diff(untouched, dump(t, other)); diff != "" {
		t.Errorf("the other database (-before +after):\n%s", diff)
	}
	w.edit(other, was)
	w.run(ctx, upgrade.Options{Until: control.Following})
	_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
	w.asBefore(production, shadow)
}

// edit replaces a text in the plan file.
func (w *world) edit(old, replacement string) {
	w.t.Helper()
	text, err := os.ReadFile(w.planPath)
	must(w.t, err)
	write(w.t, w.planPath, strings.ReplaceAll(string(text), old, replacement))
}

func (w *world) asBefore(production, shadow string) {
	w.t.Helper()
	if diff := cmp.Diff(production, dump(w.t, w.production)); diff != "" {
		w.t.Errorf("production (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(shadow, dump(w.t, w.served)); diff != "" {
		w.t.Errorf("the shadow's database (-before +after):\n%s", diff)
	}
}

func TestAbortFreesProductionWithoutTheShadow(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w, production, _ := remote(ctx, t)
	exec(t, w.production, `CREATE FUNCTION pgumbra.fence_1() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER "!pgumbra_fence" BEFORE INSERT ON shop.a FOR EACH STATEMENT EXECUTE FUNCTION pgumbra.fence_1()`) // as a cutover leaves it that was given up
	w.edit(w.served, "postgres://nobody@127.0.0.1:1/nowhere")
	_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
	if diff := cmp.Diff(production, dump(t, w.production)); diff != "" {
		t.Errorf("production (-before +after):\n%s", diff)
	}
}

func TestRunOfAnotherProductionStopsAndIsUndone(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w, production, shadow := remote(ctx, t)
	exec(t, w.served, failedOver)
	w.refused(ctx, control.ErrOrigin)
	_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
	w.asBefore(production, shadow)
}

func TestAbortLeavesTheShadowOfAnotherProductionAlone(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w, _, _ := remote(ctx, t)
	exec(t, w.served, strings.Replace(failedOver, "timeline", "system", 1))
	w.refused(ctx, control.ErrOrigin)
	shadow := dump(t, w.served)
	_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
	if diff := cmp.Diff(shadow, dump(t, w.served)); diff != "" {
		t.Errorf("the shadow's database (-before +after):\n%s", diff)
	}
}

func TestOldServerMayFailOverAfterTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w, _, _ := remote(ctx, t)
	w.run(ctx, upgrade.Options{Cutover: true})
	exec(t, w.served, failedOver)
	leader := w.leads(ctx)
	exec(t, w.served, "UPDATE shop.a SET v = v WHERE id <= 10")
	w.keptCurrent(ctx)
	must(t, upgrade.Finish(ctx, w.file(), cutover.KeepOld, upgrade.Purge, w.log))
	must(t, leader.Wait())
	w.upgraded(ctx)
}

func TestShadowThatLostItsRecordIsNotSwapped(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	for name, script := range map[string]string{
		"the control schema": "DROP SCHEMA pgumbra CASCADE",
		"a table's row":      "DELETE FROM pgumbra.shadow_table",
		"a position": `UPDATE pgumbra.shadow_table SET state = 'copying',
			position = ('1:' || pg_snapshot_xmax(position) || ':1')::pg_snapshot`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 3*time.Minute)
			w, _, _ := remote(ctx, t)
			exec(t, w.served, script)
			w.refused(ctx, control.ErrShadowLost)
			_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
			must(t, err)
		})
	}
}
