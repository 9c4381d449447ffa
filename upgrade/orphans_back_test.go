package upgrade_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// unguarded is an upgrade that takes a foreign key away.
var unguarded = history{
	structure: `CREATE SCHEMA shop; CREATE TABLE shop.owners (id int PRIMARY KEY, name text);
		CREATE TABLE shop.pets (id int PRIMARY KEY, owner int CONSTRAINT pets_owner REFERENCES shop.owners);
		INSERT INTO shop.owners SELECT n, 'o' || n FROM generate_series(1, 100) n; INSERT INTO shop.pets SELECT n, 1 + n % 50 FROM generate_series(1, 300) n;`,
	migrations: []string{`ALTER TABLE shop.pets DROP CONSTRAINT pets_owner; ALTER TABLE shop.pets ADD COLUMN v int;`},
	planFile:   "cutover: {max_stall: 10s, lock_timeout: 5s}\n",
}

// TestRollbackAsksForeignKeysBehindTheFence: what clients do to rows that refer to others
// after all of these were found to be right, and before the fence, breaks no foreign key
// that the old side has and the new one does not.
func TestRollbackAsksForeignKeysBehindTheFence(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	hereAndThere(t, unguarded, func(t *testing.T, h history) {
		t.Helper()
		ctx := limited(t, 2*time.Minute)
		w := build(t, h)
		w.run(ctx, upgrade.Options{Cutover: true})
		leader := w.leads(ctx)
		w.keptCurrent(ctx)
		for change, mended := range map[string]string{
			"DELETE FROM shop.owners WHERE id = 7":                "INSERT INTO shop.owners VALUES (7, 'again')",
			"INSERT INTO shop.pets VALUES (900, 999)":             "DELETE FROM shop.pets WHERE id = 900",
			"UPDATE shop.owners SET id = 1007 WHERE id = 8":       "UPDATE shop.owners SET id = 8 WHERE id = 1007",
			"UPDATE shop.pets SET owner = 998 WHERE id IN (5, 6)": "UPDATE shop.pets SET owner = 1 WHERE owner = 998",
		} {
			if err := w.rollbackWhile(ctx, change); !errors.Is(err, upgrade.ErrNotNow) || !strings.Contains(err.Error(), "pets_owner") {
				t.Fatalf("%s: %v", change, err)
			}
			exec(t, w.served, mended)
		}
		must(t, w.rollbackWhile(ctx, "INSERT INTO shop.pets VALUES (901, 2); DELETE FROM shop.owners WHERE id = 90"))
		must(t, leader.Wait())
		if got := text(t, w.production, `SELECT concat_ws(' ', (SELECT count(*) FROM shop.pets), (SELECT count(*) FROM shop.owners), (SELECT count(*) FROM shop.pets p JOIN shop.owners o ON o.id = p.owner))`); got != "301 99 301" {
			t.Errorf("after the rollback: %s", got)
		}
		must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	})
}

// rollbackWhile goes back while a client has changed something that it commits once the
// fence waits for it.
func (w *world) rollbackWhile(ctx context.Context, change string) error {
	w.t.Helper()
	conn, err := pgx.Connect(ctx, w.served)
	must(w.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, "BEGIN; "+change)
	must(w.t, err)
	var client errgroup.Group
	client.Go(func() error {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for waits := false; !waits; <-tick.C {
			err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid))
				AND a.application_name LIKE 'pgumbra%' AND l.locktype = 'relation')`).Scan(&waits)
			if err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, "COMMIT")
		return err
	})
	err = upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: w.log})
	must(w.t, client.Wait())
	return err
}
