package upgrade_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

func hashed(table, columns string, parts int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE shop.%s (%s) PARTITION BY HASH (id);\n", table, columns)
	for i := range parts {
		fmt.Fprintf(&b, "CREATE TABLE shop.%s_%d PARTITION OF shop.%[1]s FOR VALUES WITH (MODULUS %[3]d, REMAINDER %[2]d);\n", table, i, parts)
	}
	return b.String()
}

// TestForeignKeysOfPartitionsStandBeforeTheSwap: those that production has and
// those that the migrations bring, with rows that refer to one another changing
// meanwhile, and a table that is copied again under them.
func TestForeignKeysOfPartitionsStandBeforeTheSwap(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: "CREATE SCHEMA shop;\n" + hashed("b", "id int PRIMARY KEY, parent int", 6) + hashed("a", "id int PRIMARY KEY, b int, c int", 6) +
			hashed("c", "id int PRIMARY KEY", 6) + `ALTER TABLE shop.a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES shop.b ON DELETE CASCADE;
			ALTER TABLE shop.b ADD CONSTRAINT b_b FOREIGN KEY (parent) REFERENCES shop.b;
			INSERT INTO shop.b SELECT n, NULLIF(n / 2, 0) FROM generate_series(1, 100) n; INSERT INTO shop.c SELECT generate_series(1, 100);
			INSERT INTO shop.a SELECT n, n, n FROM generate_series(1, 100) n;`,
		migrations: []string{`ALTER TABLE shop.a ADD COLUMN note text; ALTER TABLE shop.a ADD CONSTRAINT a_c FOREIGN KEY (c) REFERENCES shop.c;
			COMMENT ON CONSTRAINT a_c ON shop.a IS 'new';`},
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	standing := func() (keys int) {
		t.Helper()
		must(t, one(w.production, `SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND convalidated
			AND connamespace = 'pgumbra_up_shop'::regnamespace`, &keys))
		return keys
	}
	if keys := standing(); keys != 3 {
		t.Fatalf("%d foreign keys stand before the swap, want 3", keys)
	}
	change := `DELETE FROM shop.a WHERE id > 90; DELETE FROM shop.b WHERE id > 90; INSERT INTO shop.b SELECT n, n - 50 FROM generate_series(101, 140) n;
		INSERT INTO shop.c SELECT generate_series(101, 140); INSERT INTO shop.a SELECT n, n, n FROM generate_series(101, 140) n;
		DELETE FROM shop.b WHERE id = 50; UPDATE shop.b SET parent = 1 WHERE id < 10;`
	exec(t, w.production, change+"ALTER TABLE shop.b DISABLE TRIGGER ALL; ALTER TABLE shop.b ENABLE TRIGGER ALL;") // copied again
	exec(t, w.oracleDSN, change)
	w.run(ctx, upgrade.Options{Until: control.Following})
	var recopied int
	must(t, one(w.production, "SELECT recopied FROM pgumbra.shadow_table WHERE production LIKE '%shop.b'", &recopied))
	if keys := standing(); keys != 3 || recopied == 0 {
		t.Fatalf("%d foreign keys stand after %d copies, want 3 after 1", keys, recopied)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
}

// TestSwapThatDoesNotFitIsNotAttempted: what it takes is measured on the shadow, and
// nobody is held for finding it out.
func TestSwapThatDoesNotFitIsNotAttempted(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: "CREATE SCHEMA shop;\n" + hashed("b", "id int PRIMARY KEY", 16) + hashed("a", "id int PRIMARY KEY, b int", 16) +
			`ALTER TABLE shop.a ADD FOREIGN KEY (b) REFERENCES shop.b; INSERT INTO shop.b VALUES (1); INSERT INTO shop.a VALUES (1, 1);`,
		migrations: []string{"ALTER TABLE shop.a ADD COLUMN note text"},
		planFile:   "cutover: {max_stall: 2s, lock_timeout: 500ms, attempts: 1}\n",
	})
	w.run(ctx, upgrade.Options{Until: control.Capturing}) // which has the same budget for its locks
	w.edit("{max_stall: 2s, lock_timeout: 500ms", "{max_stall: 5ms, lock_timeout: 5ms")
	w.run(ctx, upgrade.Options{Until: control.Following})
	s, err := upgrade.ReadStatus(ctx, w.file())
	must(t, err)
	if s.Ready || s.Trial == nil || s.Trial.SwapMS < 5 || len(s.Trial.Swap) < 4 || !strings.Contains(strings.Join(s.Blockers, "; "), "the swap took") {
		t.Errorf("ready %t, %+v, %q", s.Ready, s.Trial, s.Blockers)
	}
	if s.Attempts.Count != 0 {
		t.Errorf("%d attempts", s.Attempts.Count)
	}
}
