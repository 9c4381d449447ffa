package upgrade_test

import (
	"strings"
	"testing"
	"time"

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
	stop := w.beset(ctx, [][]string{{"INSERT INTO shop.gains DEFAULT VALUES", "INSERT INTO shop.loses DEFAULT VALUES"}})
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{Follow: true}, Log: w.log}))
	stop()
	if got := text(t, w.production, `SELECT concat_ws(' ', count(*) > 5, count(*) - count(DISTINCT number)) FROM shop.loses`); got != "t 0" {
		t.Errorf("rows, numbers twice: %s", got)
	}
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	exec(t, w.production, "INSERT INTO shop.numbered VALUES (1)")
	err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}) // the cutover closed the old sequence
	if err == nil || !strings.Contains(err.Error(), "ALTER SEQUENCE") {
		t.Errorf("a row that cannot be numbered: %v", err)
	}
}
