package planfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

const minimal = "name: shop-v2\nproduction: {schemas: [shop]}\nmigrations: {path: ./migrations}\n"

// write puts a plan file in a folder of the test's own.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pgumbra.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func loaded(t testing.TB, text string, overrides map[string]any) *File {
	t.Helper()
	f, err := Load(write(t, text), overrides)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return f
}

func TestLoadGivesDefaultsToAMinimalFile(t *testing.T) {
	f := loaded(t, minimal, nil)
	if diff := cmp.Diff(plans.DefaultSettings(), f.Settings); diff != "" {
		t.Errorf("settings (-default +loaded):\n%s", diff)
	}
	if f.Build != "auto" || f.Migrations.Version != nil || f.Traffic.PgBouncer != nil {
		t.Errorf("build %q, version %v, pgbouncer %v", f.Build, f.Migrations.Version, f.Traffic.PgBouncer)
	}
	if want := filepath.Join(filepath.Dir(f.Path), "migrations"); f.Migrations.Path != want {
		t.Errorf("migrations path %q, want %q", f.Migrations.Path, want)
	}
}

const full = `name: shop-v2
production:
  dsn: postgres://app@db1/shop
  schemas: [shop, "My.Schema"]
shadow: {dsn: host=db2 dbname=shop}
scratch: {dsn: host=scratch dbname=postgres, rows: 250}
migrations: {path: /srv/migrations, table: meta.versions, version: 000042, from: null}
build: behind_fence
tables:
  shop.orders:
    columns: {total_cents: (total * 100)::bigint, Note: "'$${x}'"}
    where: NOT deleted
    record: key
    reverse: {total: total_cents / 100.0}
  shop.order_addresses:
    from: SELECT id AS order_id, street FROM shop.orders
    key: {shop.orders: {id: order_id}}
  'shop."Order.Items"': {skip: true}
  shop.Tariffs: {freeze: true}
copy: {workers: 4, chunk_rows: 10_000, max_replica_lag: 0s, max_retained_wal: 1.5GB}
capture: {max_journal: 512 MB}
cutover: {max_stall: 2s, lock_timeout: 100ms, attempts: 5, verify_within: 1h, recycle_sessions: idle}
watch: {enabled: false, require_reverse: true}
traffic:
  pgbouncer: {admin_dsn: "host=b1 dbname=pgbouncer", database: shop, config: etc/pgbouncer.ini, target: host=db2}
  command: [./switch.sh, now]
`

func TestLoadReadsEveryKey(t *testing.T) {
	f := loaded(t, full, nil)
	base := filepath.Dir(f.Path)
	v := int64(42)
	want := &File{
		Path: f.Path, Name: "shop-v2",
		Production: ProductionFile{DSN: "postgres://app@db1/shop", Schemas: []string{"shop", "My.Schema"}},
		Shadow:     DatabaseFile{DSN: "host=db2 dbname=shop"},
		Scratch:    ScratchFile{DSN: "host=scratch dbname=postgres", Rows: 250},
		Migrations: MigrationsFile{Path: "/srv/migrations", Table: "meta.versions", Version: &v},
		Build:      "behind_fence",
		Tables: []TableRules{
			{Name: pg.Name{Schema: "shop", Name: "orders"}, Line: 10, Record: plans.RecordKey,
				Columns: map[string]Expression{"total_cents": {"(total * 100)::bigint", 11}, "Note": {"'${x}'", 11}},
				Where:   Expression{"NOT deleted", 12}, Reverse: map[string]Expression{"total": {"total_cents / 100.0", 14}}},
			{Name: pg.Name{Schema: "shop", Name: "order_addresses"}, Line: 15,
				From: Expression{"SELECT id AS order_id, street FROM shop.orders", 16},
				Key:  []KeyRule{{Source: pg.Name{Schema: "shop", Name: "orders"}, Pairs: []plans.WatchPair{{Column: "id", Shadow: "order_id"}}, Line: 17}}},
			{Name: pg.Name{Schema: "shop", Name: "Order.Items"}, Line: 18, Skip: true},
			{Name: pg.Name{Schema: "shop", Name: "Tariffs"}, Line: 19, Freeze: true},
		},
		Settings: plans.Settings{
			Copy:    plans.CopySettings{Workers: 4, ChunkRows: 10_000, MaxRetainedWAL: 3 << 29, MinFreeDisk: 1 << 30},
			Capture: plans.CaptureSettings{MaxJournal: 512 << 20},
			Cutover: plans.CutoverSettings{MaxStall: 2 * time.Second, LockTimeout: 100 * time.Millisecond, Attempts: 5, VerifyWithin: time.Hour, RecycleSessions: "idle"},
			Watch:   plans.WatchSettings{RequireReverse: true},
		},
		Rehearse: RehearseFile{Rows: 1000, Clients: 4},
		Traffic: TrafficFile{
			PgBouncer: []PgBouncerFile{{AdminDSN: "host=b1 dbname=pgbouncer", Database: "shop", Config: filepath.Join(base, "etc/pgbouncer.ini"), Target: "host=db2"}},
			Command:   []string{filepath.Join(base, "switch.sh"), "now"},
		},
	}
	if diff := cmp.Diff(want, f, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".lines" || p.Last().String() == ".over" }, cmp.Ignore())); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if got := f.Where("copy.workers"); got != "pgumbra.yaml:20" {
		t.Errorf("Where = %q", got)
	}
}

func TestFlagWinsOverEnvironmentWinsOverFile(t *testing.T) {
	t.Setenv("PGUMBRA_COPY_WORKERS", "5")
	t.Setenv("PGUMBRA_CUTOVER_ATTEMPTS", "7")
	t.Setenv("PGUMBRA_PRODUCTION_DSN", "host=elsewhere password='${literal}'")
	f := loaded(t, minimal+"copy: {workers: 3}\nbuild: direct\n", map[string]any{
		"copy.workers": 9, "production.schemas": []string{"a", "b"}, "migrations.version": int64(8)})
	got := []any{f.Copy.Workers, f.Cutover.Attempts, f.Build, f.Production.DSN, f.Production.Schemas, *f.Migrations.Version}
	want := []any{9, 7, plans.Direct, "host=elsewhere password='${literal}'", []string{"a", "b"}, int64(8)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryScalarKeyCanComeFromTheEnvironment(t *testing.T) {
	samples := map[string]string{"name": "n", "build": "direct", "migrations.version": "3", "migrations.from": "2",
		"copy.max_replica_lag": "3s", "copy.max_retained_wal": "3GB", "copy.min_free_disk": "3GB", "capture.max_journal": "3GB", "cutover.max_stall": "3s",
		"cutover.lock_timeout": "3ms", "cutover.verify_within": "3m", "cutover.recycle_sessions": "idle",
		"watch.enabled": "false", "watch.require_reverse": "true", "production.dsn": "host=x", "shadow.dsn": "host=x",
		"migrations.multi_statement": "true", "cutover.max_total_stall": "3s", "scratch.dsn": "host=x", "traffic.pgbouncer.admin_dsn": "host=x"}
	for _, k := range keys {
		t.Run(k.path, func(t *testing.T) {
			if strings.HasPrefix(k.path, "traffic.") {
				t.Setenv("PGUMBRA_SHADOW_DSN", "host=db2")
			}
			before := loaded(t, minimal, nil)
			sample, ok := samples[k.path]
			if !ok {
				sample = "7"
			}
			t.Setenv(Env(k.path), sample)
			after := loaded(t, minimal, nil)
			before.Path, after.Path = "", ""
			before.Migrations.Path, after.Migrations.Path = filepath.Base(before.Migrations.Path), filepath.Base(after.Migrations.Path)
			if cmp.Equal(before, after, cmp.AllowUnexported(File{})) {
				t.Errorf("%s=%s changed nothing", Env(k.path), sample)
			}
		})
	}
}

func TestPgBouncersMayBeAList(t *testing.T) {
	const remote = minimal + "shadow: {dsn: host=db2}\n"
	text := remote + "traffic:\n  pgbouncer:\n    - {admin_dsn: host=b1, config: one.ini}\n    - {admin_dsn: host=b2, config: /two.ini}\n"
	f := loaded(t, text, nil)
	if len(f.Traffic.PgBouncer) != 2 || f.Traffic.PgBouncer[1].Config != "/two.ini" ||
		f.Traffic.PgBouncer[0].Config != filepath.Join(filepath.Dir(f.Path), "one.ini") {
		t.Errorf("pgbouncers: %+v", f.Traffic.PgBouncer)
	}
	one := loaded(t, remote+"traffic: {pgbouncer: [{database: shop}]}\n", nil)
	if diff := cmp.Diff([]PgBouncerFile{{Database: "shop"}}, one.Traffic.PgBouncer); diff != "" {
		t.Error(diff)
	}
	t.Setenv("PGUMBRA_TRAFFIC_PGBOUNCER_DATABASE", "other")
	wantFailure(t, text, 6, "PGUMBRA_TRAFFIC_PGBOUNCER_DATABASE is set")
}

func TestVariablesAreExpandedAfterParsing(t *testing.T) {
	t.Setenv("HOST_OF_TEST", "db: {x} # 1")
	t.Setenv("ROWS_OF_TEST", "77")
	f := loaded(t, minimal+`copy: {chunk_rows: "${ROWS_OF_TEST}"}
tables: {shop.a: {where: "x = $$${y} OR y = $1 OR z = '${HOST_OF_TEST}$$'"}}
`, nil)
	if f.Copy.ChunkRows != 77 {
		t.Errorf("chunk_rows %d", f.Copy.ChunkRows)
	}
	if got, want := f.Tables[0].Where.SQL, "x = $${y} OR y = $1 OR z = 'db: {x} # 1$$'"; got != want {
		t.Errorf("where %q, want %q", got, want)
	}
}

// wantFailure loads a file that must be refused with this line and words.
func wantFailure(t *testing.T, text string, line int, words ...string) {
	t.Helper()
	path := write(t, text)
	_, err := Load(path, nil)
	var fe *plans.FileError
	if !errors.As(err, &fe) {
		t.Fatalf("error %v is no FileError", err)
	}
	if fe.File != path || fe.Line != line {
		t.Errorf("at %s:%d, want line %d (%v)", filepath.Base(fe.File), fe.Line, line, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestLoadRefusesMistakesWithTheirLine(t *testing.T) {
	for name, c := range map[string]struct {
		more  string // after the three lines of minimal
		line  int
		words []string
	}{
		"misspelt key":            {"copy: {worker: 3}", 4, []string{"unknown key copy.worker;", "did you mean copy.workers?"}},
		"misspelt section":        {"cutovr: {}", 4, []string{"cutovr", "did you mean cutover?"}},
		"upper case":              {"Copy: {}", 4, []string{"did you mean copy?"}},
		"key at the wrong level":  {"workers: 3", 4, []string{"did you mean copy.workers?"}},
		"unknown far from any":    {"copy: {zzzzzzzzzzzzzzzzzzz: 3}", 4, []string{"known here: workers, chunk_rows"}},
		"unknown key of a table":  {"tables:\n  shop.a:\n    colums: {}", 6, []string{"tables.shop.a.colums", "did you mean columns?"}},
		"key twice":               {"build: auto\nbuild: direct", 5, []string{"stands on line 4 already"}},
		"a word for a number":     {"copy:\n  workers: many", 5, []string{`copy.workers: "many" is not a whole number`}},
		"out of range":            {"copy: {workers: 0}", 4, []string{"from 1 to 256"}},
		"duration without unit":   {"cutover: {max_stall: 10}", 4, []string{"200ms, 10s"}},
		"negative duration":       {"cutover: {max_stall: -10s}", 4, []string{"too short"}},
		"no size":                 {"copy: {max_retained_wal: 10 apples}", 4, []string{"10GB"}},
		"size beyond measure":     {"copy: {max_retained_wal: 99999999PB}", 4, []string{"too large"}},
		"enum":                    {"build: behind-fence", 4, []string{"none of auto, direct, behind_fence", "did you mean behind_fence?"}},
		"boolean":                 {"watch: {enabled: maybe}", 4, []string{"neither true nor false"}},
		"section twice":           {"migrations: {version: latest}", 4, []string{"stands on line 3 already"}},
		"list for a value":        {"build: [auto]", 4, []string{"single value"}},
		"value for a section":     {"copy: 3", 4, []string{"copy is not a list of keys and values"}},
		"traffic without shadow":  {"traffic: {command: [./switch.sh]}", 4, []string{"shadow.dsn is empty"}},
		"value for a list":        {"traffic: {command: switch}", 4, []string{"[a, b]"}},
		"unset variable":          {"scratch:\n  dsn: host=${NOT_SET_IN_ANY_TEST}", 5, []string{"NOT_SET_IN_ANY_TEST is not set"}},
		"variable without end":    {"scratch: {dsn: 'host=${X'}", 4, []string{"$${"}},
		"table without schema":    {"tables: {orders: {}}", 4, []string{"schema.table"}},
		"record":                  {"tables: {shop.a: {record: rows}}", 4, []string{"neither row nor key", "did you mean row?"}},
		"flag of a table":         {"tables: {shop.a: {skip: 3}}", 4, []string{"neither true nor false"}},
		"from without key":        {"tables: {shop.a: {from: SELECT 1}}", 4, []string{"no key:"}},
		"key without from":        {"tables: {shop.a: {key: {shop.b: {id: id}}}}", 4, []string{"no from:"}},
		"key without columns":     {"tables: {shop.a: {from: SELECT 1, key: {shop.b: {}}}}", 4, []string{"names no columns"}},
		"skip and more":           {"tables: {shop.a: {skip: true, where: x}}", 4, []string{"skipped"}},
		"column without a value":  {"tables: {shop.a: {columns: {b: }}}", 4, []string{"'NULL'"}},
		"connection string":       {"scratch: {dsn: 'postgres://u:geheim@[::1'}", 4, []string{"scratch.dsn"}},
		"lock timeout over stall": {"cutover: {lock_timeout: 2s}", 4, []string{"part of the stall"}},
		"variable for a section":  {"copy: ${HOME}", 4, []string{"copy is not a list of keys and values"}},
		"tabs":                    {"copy:\n\tworkers: 3", 5, []string{"not YAML"}},
		"second document":         {"---\nname: x", 4, []string{"second document"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := minimal + c.more + "\n"
			wantFailure(t, text, c.line, c.words...)
		})
	}
}

func TestLoadRefusesWhatIsMissing(t *testing.T) {
	t.Parallel()
	wantFailure(t, "", 0, "empty", "pgumbra init")
	wantFailure(t, "[]", 1, "list of keys")
	wantFailure(t, "production: {schemas: [a]}\nmigrations: {path: m}\n", 0, "name: a run needs a name")
	wantFailure(t, "name: shop v2\nproduction: {schemas: [a]}\nmigrations: {path: m}\n", 1, `"shop v2" is not a run's name`)
	wantFailure(t, "name: a\nmigrations: {path: m}\n", 0, "production.schemas names no schema")
	wantFailure(t, "name: a\nproduction: {schemas: [a, a]}\nmigrations: {path: m}\n", 2, "twice")
	wantFailure(t, "name: a\nproduction: {schemas: [a]}\n", 0, "migrations.path is missing")
	wantFailure(t, "name: a\nproduction: {schemas: [a]}\nmigrations: {path: m, version: latest}\n", 3, `migrations.version: "latest"`)
	wantFailure(t, "name: a\nproduction: {schemas: [a]}\nmigrations:\n  path: m\n  version: 3\n  from: 4\n", 5, "only goes forward")
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	var fe *plans.FileError
	if !errors.As(err, &fe) || !strings.Contains(err.Error(), "none.yaml: read the plan file: no such file") {
		t.Errorf("missing file: %v", err)
	}
}

func TestDefaultLockBudgetGivesWayToAShortStall(t *testing.T) {
	t.Parallel()
	if f := loaded(t, minimal+"cutover: {max_stall: 100ms}\n", nil); f.Cutover.LockTimeout != 100*time.Millisecond {
		t.Errorf("lock_timeout %s", f.Cutover.LockTimeout)
	}
}

func TestMigrationsMayBeLeftOutWithAnotherServer(t *testing.T) {
	t.Parallel()
	f := loaded(t, "name: a\nproduction: {schemas: [a]}\nshadow: {dsn: host=db2}\n", nil)
	if f.Migrations.Path != "" {
		t.Errorf("path %q", f.Migrations.Path)
	}
}

func TestLoadNamesAllMistakesInOrder(t *testing.T) {
	t.Parallel()
	_, err := Load(write(t, minimal+"copy: {worker: 1}\nbuild: x\n"), nil)
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], ":4:") || !strings.Contains(lines[1], ":5:") {
		t.Errorf("error:\n%v", err)
	}
}

// The file is not to blame for what --set says.
func TestMistakesOfSetNameSet(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"cutover.max_stal":  "--set cutover.max_stal: there is no such key; did you mean cutover.max_stall?",
		"cutover.max_stall": `--set cutover.max_stall: "soon" is not a duration; write a number with its unit: 200ms, 10s, 15m, 2h`,
	} {
		if _, err := Load(write(t, minimal), map[string]any{path: "soon"}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestBadValueOfAVariableOrFlagNamesItAndNoSecret(t *testing.T) {
	t.Setenv("PGUMBRA_COPY_WORKERS", "many")
	wantFailure(t, minimal+"copy: {workers: 3}\n", 0, "PGUMBRA_COPY_WORKERS", `"many"`)
	t.Setenv("PGUMBRA_COPY_WORKERS", "")
	t.Setenv("SECRET_OF_TEST", "geheim")
	for _, text := range []string{"scratch: {dsn: 'postgres://u:${SECRET_OF_TEST}@[::1'}", "copy: {workers: '${SECRET_OF_TEST}'}"} {
		_, err := Load(write(t, minimal+text+"\n"), nil)
		if err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("error %v", err)
		}
	}
	_, err := Load(write(t, minimal), map[string]any{"copy.worker": 1})
	if err == nil || !strings.Contains(err.Error(), "did you mean copy.workers?") {
		t.Errorf("unknown override: %v", err)
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	t.Parallel()
	f := loaded(t, minimal+"tables:\n  shop.a: &r {record: key}\n  shop.b: *r\n", nil)
	if f.Tables[1].Record != plans.RecordKey {
		t.Errorf("tables: %+v", f.Tables)
	}
}

func TestSizesCountAsPostgreSQLDoes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"0": 0, "17": 17, "10GB": 10 << 30, "10 GiB": 10 << 30, "512mb": 512 << 20,
		"1.5kB": 1536, "2T": 2 << 40, "1_000": 1000, "5B": 5} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "GB", "-1GB", "1e9", "10 XB", "1 2GB"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("parseSize(%q) = %d", in, got)
		}
	}
}

// FuzzLoad: whatever the text, Load returns a file that keeps its promises or
// a FileError, and neither panics nor shows a variable's value.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(full))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("name: x\ntables: {a.b: &x {columns: *x}}\n"))
	f.Add([]byte("name: ${SECRET_OF_FUZZ}\nproduction: {dsn: 'postgres://u:${SECRET_OF_FUZZ}@[', schemas: [${SECRET_OF_FUZZ}]}\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Setenv("SECRET_OF_FUZZ", "geheimnisgeheimnis")
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parseFile("x/pgumbra.yaml", text, nil)
		var fe *plans.FileError
		switch {
		case err == nil && (file.Name == "" || len(file.Production.Schemas) == 0 || file.Copy.Workers < 1):
			t.Errorf("accepted: %+v", file)
		case err != nil && !errors.As(err, &fe):
			t.Errorf("error of another kind: %v", err)
		case err != nil && strings.Contains(err.Error(), "geheimnisgeheimnis"):
			t.Errorf("the error shows a variable: %v", err)
		}
	})
}
