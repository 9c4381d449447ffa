package upgrade_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// In place the migration fails; a run that waited for better rows would have no
// end.
func TestForeignKeyThatRowsBreakEndsTheRun(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{structure: `CREATE SCHEMA shop; CREATE TABLE shop.crew (id int PRIMARY KEY); CREATE TABLE shop.berth (id int PRIMARY KEY, crew_id int);
		INSERT INTO shop.crew VALUES (1); INSERT INTO shop.berth VALUES (1, 1)`,
		migrations: []string{"ALTER TABLE shop.berth ADD FOREIGN KEY (crew_id) REFERENCES shop.crew (id);"}})
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, `INSERT INTO shop.berth VALUES (2, 7)`) // the dry run would have found it
	err := upgrade.Run(ctx, w.file(), upgrade.Options{Cutover: true, Log: w.log})
	var violated *upgrade.KeysViolated
	if !errors.As(err, &violated) || !strings.Contains(err.Error(), "crew_id = 7") {
		t.Fatalf("%v", err)
	}
	_, err = upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
	must(t, err)
}
