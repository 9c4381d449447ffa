package plans

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// samplePlan is an upgrade of a small shop with one of everything.
func samplePlan() *Plan {
	from, to := int64(41), int64(42)
	shop := func(n string) pg.Name { return pg.Name{Schema: "shop", Name: n} }
	shadow := func(n string) pg.Name { return pg.Name{Schema: "pgumbra_shop_v2_shop", Name: n} }
	settings := DefaultSettings()
	p := &Plan{
		Run: "shop-v2", FromVersion: &from, ToVersion: &to, Build: Direct, Runnable: false, SearchPath: "shop", Settings: settings,
		Schemas: []Schema{{Production: "shop", Shadow: "pgumbra_shop_v2_shop", Old: "pgumbra_shop_v2_old_shop", Swap: Rename}},
		Sources: []Source{
			{N: 0, Name: shop("orders"), OID: 100, Kind: Plain, Members: []Member{{Name: shop("orders"), OID: 100, Leaf: true}},
				Columns: []SourceColumn{{Name: "id", Type: "integer"}, {Name: "total", Type: "numeric"}},
				Key:     []KeyColumn{{Name: "id", Type: "integer"}}, Record: RecordRow, Rows: 5_000_000, Bytes: 640 << 20},
			{N: 1, Name: shop("log|x"), OID: 101, Kind: Plain, Members: []Member{{Name: shop("log|x"), OID: 101, Leaf: true}}, Record: RecordImage, Rows: 3},
			{N: 2, Name: shop("tariffs"), OID: 102, Kind: Plain, Members: []Member{{Name: shop("tariffs"), OID: 102, Leaf: true}}, Frozen: true},
		},
		Tables: []Table{
			{N: 0, Shadow: shadow("orders"), Final: shop("orders"), Feed: Copied, Source: 0, Production: shop("orders"), Where: "NOT deleted", Upsert: true,
				Key: []Pair{{Production: "id", Shadow: "id"}},
				Columns: []Column{{Shadow: "id", Expression: "id", Origin: FromLineage, Identity: true},
					{Shadow: "total_cents", Expression: "(total * 100)::bigint", Origin: FromPlan},
					{Shadow: "twice", Generated: true, Origin: FromLineage}, {Shadow: "token", Volatile: true, Origin: FromDefault}}},
			{N: 1, Shadow: shadow("log|x"), Final: shop("log|x"), Feed: Copied, Source: 1, Production: shop("log|x"),
				Columns: []Column{{Shadow: "Line", Expression: `"Line"`, Origin: FromLineage}}},
			{N: 2, Shadow: shadow("addresses"), Final: shop("addresses"), Feed: Derived, Source: -1,
				From: "SELECT id AS order_id FROM shop.orders -- all", Key: []Pair{{Shadow: "order_id"}}, Watches: []Watch{{Source: 0}},
				Columns: []Column{{Shadow: "order_id", Expression: "q.order_id", Origin: FromPlan}}},
			{N: 3, Shadow: shadow("states"), Final: shop("states"), Feed: Carried, Source: -1, CarriedRows: "1\ta\n2\tb\n",
				Columns: []Column{{Shadow: "id", Origin: FromBackfill}, {Shadow: "name", Origin: FromBackfill}}},
			{N: 4, Shadow: shadow("audit"), Final: shop("audit"), Feed: Skipped, Source: -1, Production: shop("audit")},
		},
		Shared:    []Shared{{Kind: "TYPE", Name: shop("status")}, {Kind: "SEQUENCE", Name: shop("free"), OwnedByTable: shop("orders"), OwnedByColumn: "id"}},
		Sequences: []Sequence{{Shadow: shadow("orders_id_seq"), Production: shop("orders_id_seq")}, {Shadow: shadow("new_seq")}},
		Entries: []Entry{
			{Tag: "SCHEMA", SQL: "CREATE SCHEMA pgumbra_shop_v2_shop;\n", Stage: StageBuild},
			{Tag: "TABLE", Name: shadow("orders"), SQL: "CREATE TABLE pgumbra_shop_v2_shop.orders (id bigint);", Stage: StageBuild},
			{Tag: "CONSTRAINT", Table: shadow("orders"), SQL: "ALTER TABLE … ADD PRIMARY KEY (id);", Stage: StageKey},
			{Tag: "INDEX", Table: shadow("orders"), SQL: "CREATE INDEX …;", Stage: StageIndex},
			{Tag: "FK CONSTRAINT", Name: shadow("orders orders_fkey"), Table: shadow("orders"), SQL: "ALTER TABLE … ADD FOREIGN KEY (a) REFERENCES b;\n", Stage: StageSwap},
		},
		Matviews:     []pg.Name{shadow("totals")},
		VersionTable: &VersionTable{Name: shop("schema_migrations"), Moves: true, Exists: true},
		Findings: []Finding{
			{Level: Info, Code: "keyless", Object: "shop.log|x", Message: "has no key"},
			{Level: Blocker, Code: "unmapped-backfill", Object: "shop.orders.total_cents", Where: "000042_cents.up.sql:7",
				Message: "The backfill is <lost> & gone.\nSecond line.", Fix: "Write `columns:`."},
			{Level: Warning, Code: "wide", Object: "shop.\x1b[31mred", Message: "wide"},
		},
		Estimates: Estimates{Rows: 5_000_003, Bytes: 640 << 20, ShadowBytes: 750 << 20, WALBytes: 900 << 20, SampleRate: math.NaN(), CopySeconds: math.Inf(1), Locks: 47, LocksCapacity: 6400},
	}
	p.Steps = steps(p)
	return p
}

var reportFormats = map[string]func(*Plan, io.Writer) error{
	"text": (*Plan).WriteText, "json": (*Plan).WriteJSON, "markdown": (*Plan).WriteMarkdown, "html": (*Plan).WriteHTML,
}

func written(t testing.TB, p *Plan, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := reportFormats[format](p, &b); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.String()
}

func TestJSONReportIsThePublicDocument(t *testing.T) {
	t.Parallel()
	var doc map[string]any
	if err := json.Unmarshal([]byte(written(t, samplePlan(), "json")), &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"run", "from_version", "to_version", "build", "runnable", "findings", "tables", "estimates", "steps"} {
		if _, ok := doc[key]; !ok {
			t.Errorf("no key %s", key)
		}
	}
	table := doc["tables"].([]any)[0].(map[string]any)
	want := map[string]any{
		"production": "shop.orders", "shadow": "pgumbra_shop_v2_shop.orders", "rows": 5e6, "bytes": float64(640 << 20),
		"key": []any{"id"}, "record": "row", "feed": "copied", "where": "NOT deleted", "from": "",
		"columns": []any{
			map[string]any{"shadow": "id", "expression": "id", "source": "lineage"},
			map[string]any{"shadow": "total_cents", "expression": "(total * 100)::bigint", "source": "plan"},
			map[string]any{"shadow": "twice", "expression": "", "source": "lineage"},
			map[string]any{"shadow": "token", "expression": "", "source": "default"},
		},
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Error(diff)
	}
	finding := doc["findings"].([]any)[0].(map[string]any)
	if finding["level"] != "blocker" || finding["where"] != "000042_cents.up.sql:7" {
		t.Errorf("first finding %v", finding)
	}
	if free, ok := doc["estimates"].(map[string]any)["free_disk"]; !ok || free != nil {
		t.Errorf("free_disk %v, %v", free, ok)
	}
}

func TestJSONReportHasNoNullLists(t *testing.T) {
	t.Parallel()
	for _, p := range []*Plan{{}, {Tables: []Table{{Source: -1}, {Source: 7, Feed: Copied}}, Steps: []Step{{}}}} {
		text := written(t, p, "json")
		for _, key := range []string{"findings", "tables", "steps", "key", "columns", "sql"} {
			if strings.Contains(text, `"`+key+`": null`) {
				t.Errorf("%s is null:\n%s", key, text)
			}
		}
		for format := range reportFormats {
			written(t, p, format)
		}
	}
}

func TestReportsForPeopleSayWhatMatters(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "markdown", "html"} {
		text := written(t, samplePlan(), format)
		for _, want := range []string{"shop-v2", "41", "42", "Cannot run yet", "1 blocker, 1 warning, 1 info", "unmapped-backfill", "000042_cents.up.sql:7",
			"total_cents", "(total * 100)::bigint", "5,000,000", "640 MB", "not known from here", "ACCESS SHARE", "ALTER SCHEMA", "made once per row"} {
			if !strings.Contains(strings.NewReplacer("&#34;", `"`, `\_`, "_").Replace(text), want) {
				t.Errorf("%s does not say %q", format, want)
			}
		}
		if strings.Contains(text, "\x1b") && format == "text" {
			t.Error("the text report sends control characters to the terminal")
		}
		if blocker, info := strings.Index(text, "unmapped-backfill"), strings.Index(text, "has no key"); blocker > info {
			t.Errorf("%s: blockers do not come first", format)
		}
	}
}

func TestTextReportIsAligned(t *testing.T) {
	t.Parallel()
	text := written(t, samplePlan(), "text")
	want := `TABLES (5)
  production                shadow                          rows       size     key       record  columns
  shop.orders               pgumbra_shop_v2_shop.orders     5,000,000  640 MB   id        row     4, 3 by an expression
  shop.log|x                pgumbra_shop_v2_shop.log|x      3          0 bytes  none      image   1
  (query)                   pgumbra_shop_v2_shop.addresses  0          0 bytes  order_id          1, all by an expression
  (rows of the migrations)  pgumbra_shop_v2_shop.states     0          0 bytes  –                 2
  shop.audit (skipped)      pgumbra_shop_v2_shop.audit      0          0 bytes  –                 0
`
	if !strings.Contains(text, want) {
		t.Errorf("got:\n%s", text)
	}
}

func TestHTMLReportNeedsNothingElseAndEscapes(t *testing.T) {
	t.Parallel()
	text := written(t, samplePlan(), "html")
	if strings.Contains(text, "<lost>") || !strings.Contains(text, "&lt;lost&gt;") {
		t.Error("a message is not escaped")
	}
	for _, external := range []string{"http://", "https://", "<script", "<link", "url("} {
		if strings.Contains(text, external) {
			t.Errorf("the page refers to %s", external)
		}
	}
}

func TestMarkdownKeepsItsTables(t *testing.T) {
	t.Parallel()
	text := written(t, samplePlan(), "markdown")
	for _, want := range []string{`| shop.log\|x |`, "\n| total\\_cents | `(total * 100)::bigint` | plan |\n", "```sql\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if got, want := markdownCode("a`b|c"), "``a`b\\|c``"; got != want {
		t.Errorf("markdownCode = %q, want %q", got, want)
	}
	if got := markdownBlock([]string{"x ```", "y"}); !strings.HasPrefix(got, "````sql\n") {
		t.Errorf("markdownBlock = %q", got)
	}
}

func TestNothingToDoIsSaidAlone(t *testing.T) {
	t.Parallel()
	p := &Plan{Run: "a", NothingToDo: true}
	for _, format := range []string{"text", "markdown", "html"} {
		if text := written(t, p, format); !strings.Contains(text, "Nothing to do") || strings.Contains(strings.ToLower(text), "estimates") {
			t.Errorf("%s:\n%s", format, text)
		}
	}
}

func TestReportsPassOnErrorsOfTheWriter(t *testing.T) {
	t.Parallel()
	for format, write := range reportFormats {
		if err := write(samplePlan(), brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestStatementsEndWithASemicolonForReaders(t *testing.T) {
	t.Parallel()
	got := terminated([]string{"SELECT 1", "SELECT 2;", "SELECT 3 -- three", "-- four\nSELECT 4", ""})
	if diff := cmp.Diff([]string{"SELECT 1;", "SELECT 2;", "SELECT 3 -- three", "-- four\nSELECT 4;", ";"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestHumanNumbers(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		humanBytes(0): "0 bytes", humanBytes(1023): "1023 bytes", humanBytes(1536): "1.5 kB", humanBytes(10 << 30): "10 GB", humanBytes(640<<20 + 7): "640 MB",
		humanCount(0): "0", humanCount(999): "999", humanCount(1000): "1,000", humanCount(-1234567): "-1,234,567",
		humanSeconds(0.2): "under a second", humanSeconds(90): "90 s", humanSeconds(600): "10 min", humanSeconds(9000): "2.5 h",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
