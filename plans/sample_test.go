package plans

import (
	"math"

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
