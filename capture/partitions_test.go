package capture

import (
	"fmt"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// partitionDDL is partition maintenance; each script is one implicit
// transaction, and none of them is refused.
var partitionDDL = []string{
	`CREATE TABLE p.asia PARTITION OF p.root FOR VALUES IN ('as')`,
	`INSERT INTO p.root VALUES (1, 'as', 1, 'x'), (2, 'as', 1, 'x'); INSERT INTO p.asia VALUES (3, 'as', 1, 'y')`,
	`UPDATE p.asia SET id = id + 10; UPDATE p.root SET region = 'us' WHERE region = 'as' AND id = 11`,
	`UPDATE p.root SET region = 'as' WHERE region = 'us' AND id < 3`,
	`CREATE TABLE p.af (x text, id int NOT NULL, year int NOT NULL, region text NOT NULL); INSERT INTO p.af SELECT 'a', i, 1, 'af' FROM generate_series(1, 30) i;
		ALTER TABLE p.root ATTACH PARTITION p.af FOR VALUES IN ('af')`,
	`UPDATE p.af SET x = 'direct' WHERE id < 4; DELETE FROM p.af WHERE id = 4`,
	`CREATE TABLE p.eu_far PARTITION OF p.eu FOR VALUES FROM (3000) TO (4000); INSERT INTO p.eu_far VALUES (1, 'eu', 3001, 'far')`,
	`CREATE TABLE p.am PARTITION OF p.root FOR VALUES IN ('am') PARTITION BY HASH (id); CREATE TABLE p.am0 PARTITION OF p.am FOR VALUES WITH (MODULUS 1, REMAINDER 0);
		INSERT INTO p.am SELECT i, 'am', 1, 'h' FROM generate_series(1, 9) i; UPDATE p.am0 SET id = -id WHERE id = 2`,
	`ALTER TABLE p.root DETACH PARTITION p.af; UPDATE p.af SET x = 'out'`,
	`ALTER TABLE p.root ATTACH PARTITION p.af FOR VALUES IN ('af'); UPDATE p.root SET x = 'in again' WHERE region = 'af' AND id > 20`,
	`DROP TABLE p.asia`,
	`CREATE TABLE p.asia PARTITION OF p.root FOR VALUES IN ('as'); INSERT INTO p.root VALUES (77, 'as', 1, 'again')`,
	`ALTER TABLE p.root DETACH PARTITION p.am`,
	`DROP TABLE p.am`,
	`BEGIN; CREATE TABLE p.no PARTITION OF p.root FOR VALUES IN ('no'); INSERT INTO p.no VALUES (1, 'no', 1, 'x'); ROLLBACK`,
	`ALTER TABLE p.eu DETACH PARTITION p.eu_far CONCURRENTLY`,
	`ALTER TABLE p.eu_far RENAME TO far`,
	`ALTER TABLE p.root DETACH PARTITION p.l CONCURRENTLY`,
	`DELETE FROM p.l`,
	`DROP TABLE p.l`,
	`CREATE TABLE p.rest PARTITION OF p.root DEFAULT; INSERT INTO p.root VALUES (1, 'zz', 1, 'rest')`,
}

// Partitions come and go, by themselves or with rows in them, and the journal
// tells of it, so that nothing has to be copied again.
func TestJournalFollowsPartitionsThatComeAndGo(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	for _, s := range []plans.Source{{}, {Record: plans.RecordKey}, {Tracked: []string{"x"}}} {
		t.Run(fmt.Sprint(s.Record, s.Tracked), func(t *testing.T) {
			t.Parallel()
			s.Name, s.Kind = named("p", "root"), plans.Partitioned
			f := newFixture(t, tree, s)
			before := f.dump("--schema=p")
			f.install()
			w := f.follow(0)
			for _, script := range partitionDDL {
				w.through([]string{script})
				if got := f.changes(0); len(got) != 0 {
					t.Errorf("after %s: %v", script, got)
				}
				if left := f.one(`SELECT string_agg(DISTINCT tgrelid::regclass::text, ' ') FROM pg_trigger
					WHERE tgname LIKE '!pgumbra%' AND tgrelid NOT IN (SELECT relid FROM pg_partition_tree('p.root'))`); left != "NULL" {
					t.Errorf("after %s: triggers are left on %s", script, left)
				}
			}
			w.through(treeDML[:1])
			f.must(Remove(f.ctx, f.pool, f.run))
			if left := f.one(`SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace AND proname !~ '^ours_'`); left != "0" || before == "" {
				t.Errorf("%s functions are left", left)
			}
		})
	}
}

// Without a key a partition that is dropped takes untold rows along; so does any
// without an event trigger: the table is to be copied again.
func TestPartitionsThatGoUntoldAreFound(t *testing.T) {
	t.Parallel()
	keyless := `CREATE SCHEMA p; CREATE TABLE p.root (id int, region text, year int, x text) PARTITION BY LIST (region);
		CREATE TABLE p.l PARTITION OF p.root FOR VALUES IN ('us'); CREATE TABLE p.eu PARTITION OF p.root FOR VALUES IN ('eu');
		INSERT INTO p.root VALUES (1, 'us', 1, 'a'), (1, 'us', 1, 'a'), (2, 'eu', 1, 'a')`
	f := newFixture(t, keyless, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
	f.install()
	w := f.follow(0)
	w.through([]string{
		`CREATE TABLE p.asia PARTITION OF p.root FOR VALUES IN ('as'); INSERT INTO p.asia VALUES (1, 'as', 1, 'x'), (1, 'as', 1, 'x')`,
		`ALTER TABLE p.root DETACH PARTITION p.l`,
		`ALTER TABLE p.root ATTACH PARTITION p.l FOR VALUES IN ('us')`,
	})
	if got := f.changes(0); len(got) != 0 {
		t.Errorf("changes %v", got)
	}
	f.exec(`DROP TABLE p.eu`)
	if got := f.changes(0); got[Members] == "" {
		t.Errorf("changes %v", got)
	}
	f.must(unfreeze(f.ctx, f.pool, f.run))
	f.exec(`CREATE TABLE p.more PARTITION OF p.root FOR VALUES IN ('mo'); ALTER TABLE p.root DETACH PARTITION p.l`)
	if got := f.changes(0); got[Members] == "" || got[Structure] != "" {
		t.Errorf("changes %v", got)
	}
	members, err := Tree(f.ctx, f.pool, f.source(0))
	f.must(err)
	f.source(0).Members = members
	f.must(Repair(f.ctx, f.pool, f.run, f.source(0)))
	if got := f.changes(0); len(got) != 0 {
		t.Errorf("changes %v", got)
	}
	f.follow(0).through([]string{`INSERT INTO p.root VALUES (5, 'mo', 1, 'x')`, `UPDATE p.more SET x = 'y'`})
	if left := f.one(`SELECT count(*) FROM pg_trigger WHERE tgrelid = 'p.l'::regclass`); left != "0" {
		t.Errorf("%s triggers are left on p.l", left)
	}
}

// A partition that the shadow gets after its reverse capture was prepared is
// captured before the next attempt.
func TestReverseCaptureTakesLatePartitions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `CREATE SCHEMA pgumbra_shop_v2_shop; CREATE TABLE pgumbra_shop_v2_shop.t (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE pgumbra_shop_v2_shop.t0 PARTITION OF pgumbra_shop_v2_shop.t FOR VALUES FROM (0) TO (10)`)
	f.run.Plan.Tables = []plans.Table{{Shadow: named("pgumbra_shop_v2_shop", "t"), Final: named("shop", "t"), Feed: plans.Copied, Kind: plans.Partitioned,
		Key: []plans.Pair{{Production: "id", Shadow: "id", Type: "int"}}, Columns: []plans.Column{{Shadow: "id", Type: "int"}}}}
	f.must(PrepareReverse(f.ctx, f.pool, f.run))
	f.exec(`CREATE TABLE pgumbra_shop_v2_shop.t1 PARTITION OF pgumbra_shop_v2_shop.t FOR VALUES FROM (10) TO (20)`)
	f.must(PrepareReverse(f.ctx, f.pool, f.run))
	f.exec(`INSERT INTO pgumbra_shop_v2_shop.t1 VALUES (11)`)
	if got := f.one(`SELECT count(*) FROM pgumbra.journal`); got != "1" {
		t.Errorf("%s entries", got)
	}
}
