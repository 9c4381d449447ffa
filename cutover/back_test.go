package cutover

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const replayBack = `
DELETE FROM {old}.account; DELETE FROM {old}.entry;
INSERT INTO {old}.account (id, balance, mood, ticket) SELECT id, balance, mood, ticket FROM {schema}.account;
INSERT INTO {old}.entry (id, account, delta, client, n) SELECT id, account, delta, client, n FROM {schema}.entry;
`

// back is the run right before its rollback.
func (f *fixture) back() *fixture {
	f.t.Helper()
	if err := f.After(context.Background()); err != nil {
		f.t.Fatal(err)
	}
	b := *f
	b.there = &b
	b.Cutover = &Cutover{Sides: f.Sides, DSN: f.dsn, Upgrade: f.Upgrade.Reversed(), Log: f.Log, Parts: idleParts{}}
	b.drainsBy(func(ctx context.Context) (int64, error) {
		return 1, pg.ReadCommitted(ctx, f.pool, func(tx pgx.Tx) error {
			return execAll(ctx, tx, strings.Split(strings.TrimSpace(f.fill(replayBack)), ";\n"))
		})
	})
	return &b
}

// structure is production's, as pg_dump sees it.
func (f *fixture) structure() string {
	f.t.Helper()
	out, err := exec.Command(pgDump(f.t), "--no-sync", "--schema-only", "-N", "pgumbra*", "-d", f.dsn).CombinedOutput()
	if err != nil {
		f.t.Fatalf("pg_dump: %v\n%s", err, out)
	}
	return restrict.ReplaceAllString(string(out), "")
}

// However the names are swapped, a rollback gives the old schema back to the letter,
// with its sequences where the new ones stood, and fences the new side.
func TestRollbackLeadsNamesBack(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	const privileges = `ALTER SCHEMA {schema} OWNER TO pg_monitor; GRANT USAGE ON SCHEMA {schema} TO PUBLIC; COMMENT ON SCHEMA {schema} IS 'the shop';
		ALTER SEQUENCE {schema}.entry_id_seq MAXVALUE 1000000 CYCLE; GRANT SELECT ON {schema}.account TO PUBLIC;
		CREATE FUNCTION {schema}.loud() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER loud BEFORE INSERT ON {schema}.account FOR EACH ROW EXECUTE FUNCTION {schema}.loud();
		ALTER TABLE {schema}.account ENABLE ALWAYS TRIGGER loud; CREATE INDEX ON {schema}.entry (account);`
	for name, c := range map[string]struct {
		swap          plans.Swap
		before, fixed string
	}{
		"rename":      {plans.Rename, "", ""},
		"relocatable": {plans.Move, extensions, ""},
		"one by one":  {plans.Move, extensions, "UPDATE pg_extension SET extrelocatable = false WHERE extname = 'citext';"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := shop(t, c.swap, c.before)
			f.exec(privileges + c.fixed)
			before := f.structure()
			f.swaps()
			f.exec("INSERT INTO {schema}.account (id) VALUES (77); INSERT INTO {schema}.entry (account, delta, client, n) SELECT 1, 1, 1, n FROM generate_series(1, 30) n")
			b := f.back()
			b.swaps()
			if diff := cmp.Diff(before, b.structureAfter()); diff != "" {
				t.Errorf("structure (-before +after):\n%s", diff)
			}
			if got := get[string](f, "SELECT (SELECT count(*) FROM {schema}.account) || ' ' || (SELECT max(id) FROM {schema}.entry) || ' ' || phase FROM pgumbra.run"); got != "51 30 rolled_back" {
				t.Error(got)
			}
			f.exec("INSERT INTO {schema}.entry (account, delta, client, n) VALUES (1, 1, 1, 31)")
			if id := get[int](f, "SELECT max(id) FROM {schema}.entry"); id != 31 {
				t.Errorf("the sequence went on with %d", id)
			}
			_, err := f.client().Exec(context.Background(), f.fill("INSERT INTO {shadow}.account (id) VALUES (99)"))
			sqlState(t, err, pgerrcode.ReadOnlySQLTransaction)
			if err := b.DropAbandoned(context.Background()); err != nil {
				t.Fatal(err)
			}
			if left := get[int](f, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgumbra\\_%'"); left != 0 {
				t.Errorf("%d schemas are left", left)
			}
		})
	}
}

// structureAfter tidies up first.
func (f *fixture) structureAfter() string {
	f.t.Helper()
	for range 2 { // it may be repeated
		if err := f.After(context.Background()); err != nil {
			f.t.Fatal(err)
		}
	}
	return f.structure()
}

// A rollback that ends at any step has changed nothing: clients go on at the new
// side, and the old one is as current and as closed as before.
func TestRollbackThatEndsAtAnyStepHasChangedNothing(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.swaps()
	b := f.back()
	before := b.dump()
	for _, at := range momentsOf("begin", "fence", "drain", "read sequences", "wait for old snapshots", "swap", "look again") {
		b.fails(at, func() error { return errInjected })
		out, err := b.Attempt(context.Background())
		if !errors.Is(err, errInjected) || out.Swapped {
			t.Fatalf("%s: %+v, %v", at, out, err)
		}
		if diff := cmp.Diff(before, b.dump()); diff != "" {
			t.Errorf("%s (-before +after):\n%s", at, diff)
		}
		if p := get[string](f, "SELECT phase FROM pgumbra.run"); p != string(control.Watching) {
			t.Errorf("%s: phase %s", at, p)
		}
		_, err = f.client().Exec(context.Background(), f.fill("DELETE FROM {old}.entry"))
		sqlState(t, err, pgerrcode.ReadOnlySQLTransaction)
	}
	b.hook = nil
	b.beforeCommit = func(backend uint32) {
		run(t, f.client(), "SELECT pg_terminate_backend($1)", backend)
		waitFor(t, f.pool, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", backend)
	}
	b.refuses("connection-lost", "the server rolled it back")
	b.beforeCommit = nil
	b.swaps()
}
