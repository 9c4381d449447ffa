package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Each table has rows that the old side refuses for a reason of its own: a sequence that the
// cutover closed, a value twice, a number beyond the old type.
var refusedBack = history{
	structure: `CREATE SCHEMA shop; CREATE SEQUENCE shop.changed;
		CREATE TABLE shop.numbered (id int PRIMARY KEY, number bigint DEFAULT nextval('shop.changed')); INSERT INTO shop.numbered SELECT FROM generate_series(1, 0);
		CREATE TABLE shop.singles (id int PRIMARY KEY, name text UNIQUE); INSERT INTO shop.singles VALUES (1, 'a');
		CREATE TABLE shop.small (id int PRIMARY KEY, n int); INSERT INTO shop.small VALUES (1, 1);`,
	migrations: []string{`ALTER TABLE shop.numbered DROP number; ALTER SEQUENCE shop.changed INCREMENT 2;
		ALTER TABLE shop.singles DROP CONSTRAINT singles_name_key; ALTER TABLE shop.small ALTER n TYPE bigint;`},
	planFile: "cutover: {max_stall: 3s, lock_timeout: 500ms}\n",
}

// What a user is told to type makes the next rollback go on, whether somebody leads or not.
func TestWhatIsMendedIsTriedAgainAtOnce(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	for name, led := range map[string]bool{"led": true, "not led": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hereAndThere(t, refusedBack, func(t *testing.T, h history) { mended(t, h, led) })
		})
	}
}

func mended(t *testing.T, h history, led bool) {
	t.Helper()
	ctx := limited(t, 3*time.Minute)
	w := build(t, h)
	w.run(ctx, upgrade.Options{Cutover: true})
	if led {
		leading, end := context.WithCancel(ctx)
		leader := w.leads(leading)
		defer func() { // as long as it may take only where all went well
			if t.Failed() {
				end()
			}
			err := leader.Wait()
			end()
			if !t.Failed() {
				must(t, err)
			}
		}()
	}
	refuses := func(rows string, says ...string) {
		t.Helper()
		exec(t, w.served, rows)
		err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log})
		if !errors.Is(err, upgrade.ErrNotNow) {
			t.Fatalf("rows that the old side refuses: %v", err)
		}
		for _, s := range says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%q is not told: %v", s, err)
			}
		}
	}
	goesBack := func(as control.RollbackAs) {
		t.Helper()
		must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: as, Log: w.log}))
	}
	again := func() {
		t.Helper()
		must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	}
	follow := control.RollbackAs{Follow: true}
	refuses("DROP SEQUENCE shop.changed", "CREATE SEQUENCE", "changed")
	exec(t, w.served, "CREATE SEQUENCE shop.changed INCREMENT 2")
	refuses("INSERT INTO shop.numbered VALUES (1); INSERT INTO shop.singles VALUES (2, 'a'); INSERT INTO shop.small VALUES (2, 5000000000)")
	exec(t, w.served, "DELETE FROM shop.numbered WHERE id = 1; DELETE FROM shop.singles WHERE id = 2; DELETE FROM shop.small WHERE id = 2")
	goesBack(follow)
	again()
	refuses("INSERT INTO shop.singles VALUES (2, 'a'); INSERT INTO shop.small VALUES (2, 5000000000)", "small")
	exec(t, w.served, "UPDATE shop.singles SET name = 'b' WHERE id = 2; UPDATE shop.small SET n = 2 WHERE id = 2")
	goesBack(follow)
	again()
	refuses("INSERT INTO shop.numbered VALUES (2), (3)", fmt.Sprintf(`ALTER SEQUENCE "%s"."changed" NO MAXVALUE RESTART`, w.oldSchema()))
	exec(t, w.production, "ALTER SEQUENCE "+w.oldSchema()+".changed NO MAXVALUE RESTART WITH 1")
	goesBack(follow)
	exec(t, w.production, "INSERT INTO shop.numbered VALUES (4)")
	if got := text(t, w.production, `SELECT concat_ws(' ', (SELECT string_agg(concat_ws(':', id, number), ' ' ORDER BY id) FROM shop.numbered),
		(SELECT string_agg(id || name, ' ' ORDER BY id) FROM shop.singles), (SELECT string_agg(concat_ws(':', id, n), ' ' ORDER BY id) FROM shop.small))`); got != "2:1 3:2 4:3 1a 2b 1:1 2:2" {
		t.Errorf("rows of the old side: %s", got)
	}
	again()
	goesBack(control.RollbackAs{})
}
