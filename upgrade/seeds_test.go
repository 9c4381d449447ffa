package upgrade_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// seeded is an upgrade of which two rows come in the swap, one with a key of its own.
var seeded = history{
	structure: `CREATE SCHEMA shop; CREATE TABLE shop.roles (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
		CREATE TABLE shop.people (id int PRIMARY KEY, role int NOT NULL REFERENCES shop.roles, mail text);
		INSERT INTO shop.roles (name) VALUES ('admin'), ('user'); INSERT INTO shop.people SELECT n, 1 + n % 2, 'M' || n FROM generate_series(1, 200) n;`,
	migrations: []string{
		`INSERT INTO shop.roles (id, name) VALUES (50, 'auditor'); INSERT INTO shop.roles (name) VALUES ('guest');`,
		`UPDATE shop.people SET mail = lower(mail);`,
	},
	planFile: "cutover: {max_stall: 10s, lock_timeout: 5s}\n",
}

// TestSeedThatFailsAtTheSwapChangesNothing: a client has put a row of the seed's key there
// since it was tried. Once that is gone the cutover goes through.
func TestSeedThatFailsAtTheSwapChangesNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	hereAndThere(t, seeded, func(t *testing.T, h history) {
		t.Helper()
		ctx := limited(t, 2*time.Minute)
		w := build(t, h)
		w.run(ctx, upgrade.Options{Until: control.Following})
		before := schemaDump(t, w.production)
		exec(t, w.production, "INSERT INTO shop.roles VALUES (50, 'mine')")
		var failed *upgrade.MigrationFailed
		err := upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log})
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "2_step.up.sql") || !strings.Contains(err.Error(), "50") {
			t.Fatalf("cutover: %v", err)
		}
		w.structureIs(before)
		exec(t, w.production, "INSERT INTO shop.roles (name) VALUES ('drawn'); DELETE FROM shop.roles WHERE id = 50")
		w.run(ctx, upgrade.Options{Cutover: true})
		const want = "1 admin, 2 user, 3 drawn, 4 guest, 50 auditor"
		if got := text(t, w.served, "SELECT string_agg(id || ' ' || name, ', ' ORDER BY id) FROM shop.roles"); got != want {
			t.Errorf("%s, not %s", got, want)
		}
		if n := text(t, w.served, "SELECT count(*)::text FROM shop.people WHERE mail <> lower(mail)"); n != "0" {
			t.Errorf("%s people are as before", n)
		}
		must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	})
}

// TestRollbackAfterASeedOfTheSwap leaves the seed's rows behind when told, and nothing
// that clients wrote, with numbers drawn after it. A row that refers to the seed's would
// break the old side's foreign key.
func TestRollbackAfterASeedOfTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	hereAndThere(t, seeded, func(t *testing.T, h history) {
		t.Helper()
		ctx := limited(t, 2*time.Minute)
		w := build(t, h)
		before := schemaDump(t, w.production)
		w.run(ctx, upgrade.Options{Cutover: true})
		exec(t, w.served, `INSERT INTO shop.roles (name) VALUES ('drawn'); UPDATE shop.roles SET name = 'root' WHERE id = 1;
			INSERT INTO shop.people VALUES (900, 2, 'new'); DELETE FROM shop.people WHERE id = 8`)
		leader := w.leads(ctx)
		w.keptCurrent(ctx)
		var none *upgrade.NoWayBack
		err := upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{Follow: true, AcceptLoss: true}, Log: w.log})
		if !errors.As(err, &none) {
			t.Errorf("rollback --follow: %v", err)
		}
		accept := upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: w.log}
		exec(t, w.served, "INSERT INTO shop.people VALUES (901, 50, 'of the seed')") // whom the old side's foreign key would refuse
		if err = upgrade.Rollback(ctx, w.file(), accept); !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "shop.people") {
			t.Fatalf("with a row that refers to the seed's: %v", err)
		}
		exec(t, w.served, "UPDATE shop.people SET role = 2 WHERE id = 901")
		if err = w.rollbackWhile(ctx, "INSERT INTO shop.people VALUES (902, 50, 'late')"); !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "shop.people") {
			t.Fatalf("with one that is written before the fence: %v", err)
		}
		exec(t, w.served, "DELETE FROM shop.people WHERE id = 902")
		must(t, upgrade.Rollback(ctx, w.file(), accept))
		must(t, leader.Wait())
		w.structureIs(before)
		for query, want := range map[string]string{
			"SELECT string_agg(id || ' ' || name, ', ' ORDER BY id) FROM shop.roles":               "1 root, 2 user, 4 drawn",
			"SELECT nextval('shop.roles_id_seq')::text":                                            "5",
			"SELECT count(*) || ' ' || sum(role) FILTER (WHERE id IN (900, 901)) FROM shop.people": "201 4",
			"SELECT count(*)::text FROM shop.people WHERE id = 8":                                  "0",
		} {
			if got := text(t, w.production, query); got != want {
				t.Errorf("%s: %s, not %s", query, got, want)
			}
		}
		must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	})
}
