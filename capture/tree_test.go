package capture

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// A tree of three levels; leaf l has another column order and a dropped column.
const tree = `CREATE SCHEMA p;
	CREATE TABLE p.root (id int, region text, year int, x text, PRIMARY KEY (id, region, year)) PARTITION BY LIST (region);
	CREATE TABLE p.eu PARTITION OF p.root FOR VALUES IN ('eu') PARTITION BY RANGE (year);
	CREATE TABLE p.eu_old PARTITION OF p.eu FOR VALUES FROM (0) TO (2020);
	CREATE TABLE p.eu_new PARTITION OF p.eu FOR VALUES FROM (2020) TO (3000);
	CREATE TABLE p.l (x text, year int NOT NULL, junk int, region text NOT NULL, id int NOT NULL); ALTER TABLE p.l DROP COLUMN junk;
	ALTER TABLE p.root ATTACH PARTITION p.l FOR VALUES IN ('us');
	INSERT INTO p.root SELECT i, 'eu', 2010 + i, 'a' FROM generate_series(1, 20) i;
	INSERT INTO p.root SELECT i, 'us', 2010 + i, 'b' FROM generate_series(1, 20) i;`

var treeDML = []string{
	`UPDATE p.root SET x = 'c' WHERE id < 5`,
	`UPDATE p.eu SET x = 'middle' WHERE id < 15`,
	`UPDATE p.l SET x = 'leaf' WHERE id < 5`,
	`DELETE FROM p.eu WHERE id = 3`, `DELETE FROM p.l WHERE id = 3`, `DELETE FROM p.root WHERE id = 4`,
	`UPDATE p.root SET region = CASE region WHEN 'eu' THEN 'us' ELSE 'eu' END, id = id + 40 WHERE id = 6`,
	`UPDATE p.root SET region = 'us', id = id + 100 WHERE region = 'eu' AND id < 9`,
	`UPDATE p.eu SET year = year + 9 WHERE id IN (9, 10)`,
	`UPDATE p.root SET id = id + 1000 WHERE id = 11`,
	`INSERT INTO p.root VALUES (12, 'eu', 2022, 'z'), (500, 'us', 1, 'z') ON CONFLICT (id, region, year) DO UPDATE SET x = 'upserted'`,
	`INSERT INTO p.eu VALUES (501, 'eu', 1, 'z'); INSERT INTO p.l (id, region, year) VALUES (501, 'us', 2)`,
	`MERGE INTO p.root r USING (VALUES (13, 'us')) v(id, region) ON r.id = v.id AND r.region <> v.region WHEN MATCHED THEN UPDATE SET region = v.region, id = r.id + 7000`,
	`MERGE INTO p.root r USING (VALUES (14), (15), (9999)) v(id) ON r.id = v.id AND r.region = 'eu' WHEN MATCHED AND v.id = 14 THEN DELETE
		WHEN MATCHED THEN UPDATE SET region = 'us', id = 8000 WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'us', 3, 'm')`,
	`BEGIN; UPDATE p.root SET x = 'q' WHERE id = 16; DELETE FROM p.root WHERE id = 17; INSERT INTO p.root VALUES (601, 'eu', 2021, 'after'); COMMIT`,
	`BEGIN; SAVEPOINT a; UPDATE p.root SET region = 'us', id = 9 WHERE id = 18 AND region = 'eu'; ROLLBACK TO a; UPDATE p.root SET region = 'us', id = 8 WHERE id = 19 AND region = 'eu'; COMMIT`,
	`TRUNCATE p.eu_new`,
	`BEGIN; TRUNCATE p.l; INSERT INTO p.root VALUES (700, 'us', 1, 'back'); COMMIT`,
	`TRUNCATE p.eu`,
	`INSERT INTO p.root VALUES (800, 'us', 1, 'x'), (801, 'eu', 1, 'x')`,
	`BEGIN; TRUNCATE p.root; INSERT INTO p.root VALUES (900, 'us', 1, 'x'), (901, 'eu', 1, 'x'); COMMIT`,
}

func TestJournalFollowsPartitionTree(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	for _, record := range []plans.Record{plans.RecordRow, plans.RecordKey} {
		t.Run(string(record), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, tree, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned, Record: record})
			f.install()
			f.follow(0).through(treeDML)
		})
	}
}

func TestJournalFollowsPartitionTreeWithTrackedColumns(t *testing.T) {
	t.Parallel()
	f := newFixture(t, tree, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned, Tracked: []string{"x"}})
	f.install()
	f.follow(0).through(treeDML)
}

func TestJournalFollowsKeylessPartitionTree(t *testing.T) {
	t.Parallel()
	script := strings.Replace(tree, ", PRIMARY KEY (id, region, year)", "", 1) + `INSERT INTO p.root SELECT * FROM p.root`
	f := newFixture(t, script, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
	f.install()
	var scripts []string
	for _, s := range treeDML {
		if !strings.Contains(s, "ON CONFLICT") && !strings.HasPrefix(s, "TRUNCATE p.eu") && !strings.Contains(s, "TRUNCATE p.l") {
			scripts = append(scripts, s)
		}
	}
	f.follow(0).through(scripts)
}

// A row of a partition whose key two foreign keys cascade to is updated twice
// by one statement.
func TestJournalFollowsCascadesInPartitionTree(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `CREATE SCHEMA p; CREATE TABLE p.a (a int PRIMARY KEY); CREATE TABLE p.b (b int PRIMARY KEY);
		CREATE TABLE p.root (a int REFERENCES p.a ON UPDATE CASCADE ON DELETE CASCADE, b int REFERENCES p.b ON UPDATE CASCADE, x int, PRIMARY KEY (a, b)) PARTITION BY LIST (b);
		CREATE TABLE p.r1 PARTITION OF p.root FOR VALUES IN (1); CREATE TABLE p.r2 PARTITION OF p.root FOR VALUES IN (2);
		CREATE TABLE p.rest PARTITION OF p.root DEFAULT;
		INSERT INTO p.a VALUES (1), (2); INSERT INTO p.b VALUES (1), (2); INSERT INTO p.root VALUES (1, 1, 0), (1, 2, 0), (2, 2, 0)`,
		plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
	f.install()
	f.follow(0).through([]string{
		`WITH x AS (UPDATE p.a SET a = a + 10) UPDATE p.b SET b = b + 10`,
		`UPDATE p.b SET b = 1 WHERE b = 11`,
		`WITH x AS (UPDATE p.b SET b = 2 WHERE b = 1) UPDATE p.a SET a = 5 WHERE a = 11`,
		`DELETE FROM p.a WHERE a = 5`,
	})
}

func TestJournalNamesTruncatedPartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t, tree, plans.Source{Name: named("p", "root"), Kind: plans.Partitioned})
	f.install()
	f.exec(`TRUNCATE p.l; TRUNCATE p.root`)
	got := f.one(`SELECT string_agg(COALESCE(member::regclass::text, 'all'), ' ' ORDER BY seq) FROM ` + JournalOf(f.run, f.source(0)).Name().Quoted() + ` WHERE op = 't'`)
	if !strings.HasPrefix(got, "p.l ") || strings.Count(got, "all") != 1 {
		t.Errorf("truncated: %s", got)
	}
}

// A statement on a parent reaches the children's rows and fires none of their
// statement triggers.
func TestJournalOfParentTellsKeysOfChildren(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `CREATE SCHEMA i; CREATE TABLE i.parent (id int PRIMARY KEY, x int);
		CREATE TABLE i.child (y int, PRIMARY KEY (id)) INHERITS (i.parent);
		INSERT INTO i.parent VALUES (1, 1); INSERT INTO i.child VALUES (2, 2, 2), (3, 3, 3)`,
		plans.Source{Name: named("i", "parent"), Kind: plans.Inherited, Record: plans.RecordKey},
		plans.Source{Name: named("i", "child"), Kind: plans.Inherited, Record: plans.RecordKey, Ancestors: []int{0}})
	f.install()
	parent, child := f.follow(0), f.follow(1)
	f.exec(`UPDATE i.parent SET x = 9; UPDATE i.parent SET id = 30 WHERE id = 3; DELETE FROM i.parent WHERE id = 2; UPDATE i.child SET y = 1`)
	if got, want := parent.ops(), "u(1) u(2) u(3) u(30) d(2)"; got != want {
		t.Errorf("parent's journal %s, want %s", got, want)
	}
	if got, want := child.ops(), "d(3) u(30)"; got != want {
		t.Errorf("child's journal %s, want %s", got, want)
	}
}
