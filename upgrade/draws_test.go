package upgrade_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Columns whose defaults draw from sequences that production has, come with the
// migrations and go with them: rows that are replayed draw from these while a swap holds
// others off them.
func TestRowsThatDrawWhileASwapHoldsTheSequence(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE SEQUENCE shop.numbers; CREATE SEQUENCE shop.changed;
			CREATE TABLE shop.gains (id serial PRIMARY KEY); INSERT INTO shop.gains SELECT FROM generate_series(1, 5);
			CREATE TABLE shop.loses (id serial PRIMARY KEY, number bigint DEFAULT nextval('shop.numbers'));
			INSERT INTO shop.loses SELECT FROM generate_series(1, 5); CREATE TABLE shop.numbered (id int PRIMARY KEY, number bigint DEFAULT nextval('shop.changed'));`,
		migrations: []string{`ALTER TABLE shop.gains ADD number bigint DEFAULT nextval('shop.numbers'); ALTER TABLE shop.loses DROP number;
			ALTER TABLE shop.numbered DROP number; ALTER SEQUENCE shop.changed INCREMENT 2;`},
		planFile: "cutover: {max_stall: 3s, lock_timeout: 500ms}\n",
	})
	w.run(ctx, upgrade.Options{Until: "following"})
	stop := w.beneathTheFence(ctx, "shop.gains", "shop.loses")
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{Follow: true}, Log: w.log}))
	stop()
	if got := text(t, w.production, `SELECT concat_ws(' ', count(*) > 5, count(*) - count(DISTINCT number)) FROM shop.loses`); got != "t 0" {
		t.Errorf("rows, numbers twice: %s", got)
	}
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	if got := text(t, w.production, `SELECT count(*) FROM pgumbra.event WHERE kind = 'refused' AND detail->>'reason' LIKE '%"drain"%'`); got != "0" {
		t.Errorf("%s attempts ended in a drain that waited for its own fence", got)
	}
	exec(t, w.production, "INSERT INTO shop.numbered VALUES (1)")
	err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}) // the cutover closed the old sequence
	if err == nil || !strings.Contains(err.Error(), "ALTER SEQUENCE") {
		t.Errorf("a row that cannot be numbered: %v", err)
	}
}

// beneathTheFence has a client for each table that inserts a row, and commits when somebody waits for
// the table: what a fence waited for is drained behind it.
func (w *world) beneathTheFence(ctx context.Context, tables ...string) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var clients errgroup.Group
	for _, table := range tables {
		clients.Go(func() error {
			conn, err := pgx.Connect(ctx, w.production)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			_, err = conn.Exec(ctx, `CREATE PROCEDURE pg_temp.client() LANGUAGE plpgsql AS $$ BEGIN
				LOOP
					INSERT INTO `+table+` DEFAULT VALUES;
					FOR i IN 1..100 LOOP
						EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = '`+table+`'::regclass);
						PERFORM pg_sleep(0.01);
					END LOOP;
					COMMIT;
				END LOOP;
			END $$`)
			if err == nil {
				_, err = conn.Exec(ctx, "CALL pg_temp.client()")
			}
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	}
	return func() {
		w.t.Helper()
		cancel()
		must(w.t, clients.Wait())
	}
}
