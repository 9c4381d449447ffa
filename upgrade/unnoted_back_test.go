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

// TestRollbackLooksForRowsThatNobodyNotes: across servers, where what a table's rows must
// fit names a function of the schemas, they are not noted as they are written. plan says
// so; rollback finds the row, names it, refuses, and leaves behind what does not fit only when told.
func TestRollbackLooksForRowsThatNobodyNotes(t *testing.T) {
	testcontainers.InTurn(t, 4)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop; CREATE FUNCTION shop.sound(numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 1000';
			CREATE TABLE shop.a (id int PRIMARY KEY, v numeric(6,2) CONSTRAINT sound CHECK (shop.sound(v))); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n;`,
		migrations: []string{"ALTER TABLE shop.a DROP CONSTRAINT sound; ALTER TABLE shop.a ALTER COLUMN v TYPE numeric(8,4);"},
		remote:     testcontainers.Database(t),
	})
	plan, err := upgrade.Plan(ctx, w.file(), w.log)
	must(t, err)
	told := false
	for _, f := range plan.Findings {
		told = told || f.Code == "reverse-lossy" && f.Object == "shop.a" && strings.Contains(f.Message, "pgumbra rollback looks through the table")
	}
	if !told {
		t.Errorf("plan says nothing of rows that are not noted: %+v", plan.Findings)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	exec(t, w.served, "UPDATE shop.a SET v = 1.2345 WHERE id = 7")
	err = upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log})
	var notNow *upgrade.NotNow
	if !errors.Is(err, upgrade.ErrNotNow) || !errors.As(err, &notNow) || !notNow.AcceptLoss || !strings.Contains(err.Error(), "shop.a, id = 7: v: ") {
		t.Errorf("the rollback: %v", err)
	}
	exec(t, w.served, "UPDATE shop.a SET v = 1.23 WHERE id = 7")
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{Follow: true}, Log: w.log}))
	must(t, upgrade.Cutover(ctx, w.file(), upgrade.Options{Log: w.log}))
	exec(t, w.served, "UPDATE shop.a SET v = 2.3456 WHERE id = 8")
	must(t, upgrade.Rollback(ctx, w.file(), upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: w.log}))
	if got := text(t, w.production, "SELECT string_agg(v::text, ' ' ORDER BY id) FROM shop.a WHERE id IN (7, 8)"); got != "1.23 2.35" {
		t.Errorf("the old side: %s", got)
	}
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
}
