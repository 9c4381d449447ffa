package estimate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/internal/sampleplan"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// planOf maps tables of schema shop onto themselves.
func planOf(t testing.TB, conn *pgx.Conn, tables ...string) *plans.Plan {
	t.Helper()
	p := &plans.Plan{SearchPath: "shop", Settings: plans.DefaultSettings()}
	for i, name := range tables {
		n := pg.Name{Schema: "shop", Name: name}
		s := plans.Source{N: i, Name: n, Kind: plans.Plain, Record: plans.RecordRow, Key: []plans.KeyColumn{{Name: "id"}}}
		rows, err := conn.Query(context.Background(), `SELECT n.nspname::text, c.relname::text, c.oid, c.relkind = 'r'
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = $1::regclass OR c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass)) ORDER BY c.oid`, n.Quoted())
		if err != nil {
			t.Fatal(err)
		}
		s.Members, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m plans.Member, err error) {
			return m, row.Scan(&m.Name.Schema, &m.Name.Name, &m.OID, &m.Leaf)
		})
		if err != nil {
			t.Fatal(err)
		}
		s.OID = s.Members[0].OID
		p.Sources = append(p.Sources, s)
		shadow := pg.Name{Schema: "twin", Name: name}
		p.Tables = append(p.Tables, plans.Table{N: i, Shadow: shadow, Final: n, Feed: plans.Copied, Source: i, Production: n,
			Columns: []plans.Column{{Shadow: "id", Expression: "id", Origin: plans.FromLineage}, {Shadow: "note", Expression: "upper(note)", Origin: plans.FromUsing}}})
		p.Entries = append(p.Entries, plans.Entry{Tag: "TABLE", Name: shadow, Stage: plans.StageBuild}, plans.Entry{Tag: "CONSTRAINT", Table: shadow, Stage: plans.StageKey})
	}
	return p
}

const estimateShop = `
	CREATE SCHEMA shop;
	CREATE TABLE shop.orders (id int PRIMARY KEY, note text);
	INSERT INTO shop.orders SELECT g, repeat('x', 50) FROM generate_series(1, 20000) g;
	CREATE TABLE shop.parts (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
	CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (1000);
	CREATE TABLE shop.parts_2 PARTITION OF shop.parts DEFAULT;
	INSERT INTO shop.parts SELECT g, 'y' FROM generate_series(1, 3000) g;
	CREATE TABLE shop."Empty" (id int PRIMARY KEY, note text);`

func TestEstimateCountsRowsBytesAndTime(t *testing.T) {
	t.Parallel()
	for name, analyze := range map[string]string{"analyzed": "ANALYZE shop.orders, shop.parts_1, shop.parts_2", "never analyzed": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, conn := database(t, estimateShop+analyze)
			p := planOf(t, conn, "orders", "parts", "Empty")
			e, err := Of(context.Background(), conn, conn, p)
			if err != nil {
				t.Fatal(err)
			}
			if e.Rows < 15_000 || e.Rows > 40_000 || analyze != "" && e.Rows != 23_000 {
				t.Errorf("rows %d", e.Rows)
			}
			if e.Bytes < 1<<20 || e.ShadowBytes <= e.Bytes || e.WALBytes <= e.ShadowBytes || e.Bytes != p.Sources[0].Bytes+p.Sources[1].Bytes+p.Sources[2].Bytes {
				t.Errorf("bytes %d, shadow %d, WAL %d", e.Bytes, e.ShadowBytes, e.WALBytes)
			}
			if e.SampleRate <= 0 || e.CopySeconds <= 0 || e.CopySeconds > 60 {
				t.Errorf("rate %f, seconds %f", e.SampleRate, e.CopySeconds)
			}
			if e.LocksCapacity <= 0 || e.Locks < 8 || len(p.Findings) != 0 {
				t.Errorf("locks %d of %d, findings %v", e.Locks, e.LocksCapacity, p.Findings)
			}
		})
	}
}

func TestEstimateChangesNothing(t *testing.T) {
	t.Parallel()
	_, conn := database(t, estimateShop)
	var after string
	ctx := context.Background()
	p := planOf(t, conn, "orders")
	if _, err := conn.Exec(ctx, "SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
	if _, err := Of(ctx, conn, conn, p); err != nil {
		t.Fatalf("in a read-only session: %v", err)
	}
	_ = conn.QueryRow(ctx, "SHOW search_path").Scan(&after)
	if after != "pg_catalog" {
		t.Errorf("search_path is left at %q", after)
	}
}

func TestEstimateFindsATransformThatFails(t *testing.T) {
	t.Parallel()
	_, conn := database(t, estimateShop)
	p := planOf(t, conn, "orders")
	p.Tables[0].Columns = append(p.Tables[0].Columns, plans.Column{Shadow: "share", Expression: "1 / (id - 17) -- of all", Origin: plans.FromPlan})
	if _, err := Of(context.Background(), conn, conn, p); err != nil {
		t.Fatal(err)
	}
	if len(p.Findings) != 1 || p.Findings[0].Code != "transform-fails" || p.Findings[0].Object != "shop.orders.share" ||
		!strings.Contains(p.Findings[0].Message, "division by zero (SQLSTATE 22012)") {
		t.Errorf("findings %+v", p.Findings)
	}
}

func TestEstimateGoesOnWithoutASample(t *testing.T) {
	t.Parallel()
	_, conn := database(t, estimateShop)
	p := planOf(t, conn, "orders")
	p.Tables[0].Columns[1].Expression = "twin.only_in_the_shadow(note)"
	e, err := Of(context.Background(), conn, conn, p)
	if err != nil || e.SampleRate != 0 || e.CopySeconds <= 0 || len(p.Findings) != 0 {
		t.Errorf("%+v, %v, %v", e, err, p.Findings)
	}
}

func TestSampleWaitsForNoLongLock(t *testing.T) {
	t.Parallel()
	dsn, conn := database(t, estimateShop+"ANALYZE shop.orders;")
	ctx := context.Background()
	p := planOf(t, conn, "orders")
	sizes, err := readSizes(ctx, conn, p)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(ctx)
	if _, err := holder.Exec(ctx, "BEGIN; LOCK TABLE shop.orders"); err != nil {
		t.Fatal(err)
	}
	rate, findings, err := sample(ctx, conn, p, sizes)
	if rate != 0 || findings != nil || err != nil {
		t.Errorf("rate %f, findings %v, error %v", rate, findings, err)
	}
}

func TestFreeDiskIsKnownOnlyFromTheServersOwnDirectory(t *testing.T) {
	t.Parallel()
	_, conn := database(t, "")
	free, err := freeDisk(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if free != nil && *free <= 0 {
		t.Errorf("free %d", *free)
	}
	if _, err := conn.Exec(context.Background(), fmt.Sprintf("CREATE ROLE %[1]s; SET ROLE %[1]s", pg.Ident(strings.ToLower(t.Name())))); err != nil {
		t.Fatal(err)
	}
	if free, err := freeDisk(context.Background(), conn); free != nil || err != nil {
		t.Errorf("without the right to know: %v, %v", free, err)
	}
	if _, err := conn.Exec(context.Background(), "RESET ROLE; DROP ROLE "+pg.Ident(strings.ToLower(t.Name()))); err != nil {
		t.Fatal(err)
	}
}

func TestDataDirectoryIsRecognisedByItsStart(t *testing.T) {
	t.Parallel()
	dir, started := t.TempDir(), time.Unix(1_700_000_000, 0)
	if isDataDirectory(dir, started) {
		t.Error("an empty folder is taken for a data directory")
	}
	for content, want := range map[string]bool{"1\n/x\n1700000001\n5432\n": true, "1\n/x\n1700009999\n": false, "1\n": false, "1\n/x\nnone\n": false} {
		if err := os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := isDataDirectory(dir, started); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
}

func TestCapacityFindings(t *testing.T) {
	t.Parallel()
	disk := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		e    plans.Estimates
		want string
	}{
		"all fits":         {plans.Estimates{Locks: 100, LocksCapacity: 6400, ShadowBytes: 10, WALBytes: 10, FreeDisk: disk(30)}, ""},
		"disk not known":   {plans.Estimates{Locks: 1, LocksCapacity: 6400, ShadowBytes: 1 << 60}, ""},
		"locks too few":    {plans.Estimates{Locks: 7000, LocksCapacity: 6400}, "blocker locks-too-few"},
		"locks scarce":     {plans.Estimates{Locks: 6000, LocksCapacity: 6400}, "warning locks-too-few"},
		"disk too small":   {plans.Estimates{ShadowBytes: 10, FreeDisk: disk(9)}, "blocker disk-too-small"},
		"disk without WAL": {plans.Estimates{ShadowBytes: 10, WALBytes: 10, FreeDisk: disk(15)}, "warning disk-too-small"},
	} {
		var got []string
		for _, f := range capacityFindings(c.e, plans.DefaultSettings()) {
			got = append(got, string(f.Level)+" "+f.Code)
			if f.Message == "" || f.Fix == "" || f.Object == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
}

func TestAThousandTablesFitTheDefaultLocks(t *testing.T) {
	t.Parallel()
	p := sampleplan.New()
	p.Sources = make([]plans.Source, 1000)
	p.Entries = nil
	for range 1000 {
		p.Entries = append(p.Entries, plans.Entry{Tag: "TABLE"})
	}
	for swap, most := range map[plans.Swap]int{plans.Rename: 5200, plans.Move: 5200} {
		p.Schemas[0].Swap = swap
		if got := swapLocks(p); got < 4000 || got > most {
			t.Errorf("%s: %d locks", swap, got)
		}
	}
}

func TestPiecesAreSpreadOverTheTable(t *testing.T) {
	t.Parallel()
	for blocks, want := range map[int64]int{0: 0, 1: 1, 64: 1, 65: 2, 1024: 16, 1_000_000: 16} {
		got := Pieces(blocks)
		if len(got) != want || want > 1 && got[len(got)-1] >= blocks {
			t.Errorf("Pieces(%d) = %v", blocks, got)
		}
	}
}

// database makes a database with this content.
func database(t testing.TB, script string) (string, *pgx.Conn) {
	t.Helper()
	ctx := context.Background()
	dsn := testcontainers.Database(t)
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	if err := pg.ExecScript(ctx, conn, script); err != nil {
		t.Fatal(err)
	}
	return dsn, conn
}
