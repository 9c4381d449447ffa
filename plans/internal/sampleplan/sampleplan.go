// Package sampleplan is for tests of what reads a plan.
package sampleplan

import (
	"math"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// New is an upgrade of a small shop with one of everything, without steps.
func New() *plans.Plan {
	from, to := int64(41), int64(42)
	shop := func(n string) pg.Name { return pg.Name{Schema: "shop", Name: n} }
	shadow := func(n string) pg.Name { return pg.Name{Schema: "pgumbra_shop_v2_shop", Name: n} }
	settings := plans.DefaultSettings()
	p := &plans.Plan{
		Run: "shop-v2", FromVersion: &from, ToVersion: &to, Build: plans.Direct, Runnable: false, SearchPath: "shop", Settings: settings,
		Schemas: []plans.Schema{{Production: "shop", Shadow: "pgumbra_shop_v2_shop", Old: "pgumbra_shop_v2_old_shop", Swap: plans.Rename}},
		Sources: []plans.Source{
			{N: 0, Name: shop("orders"), OID: 100, Kind: plans.Plain, Members: []plans.Member{{Name: shop("orders"), OID: 100, Leaf: true}},
				Columns: []plans.SourceColumn{{Name: "id", Type: "integer"}, {Name: "total", Type: "numeric"}},
				Key:     []plans.KeyColumn{{Name: "id", Type: "integer"}}, Record: plans.RecordRow, Rows: 5_000_000, Bytes: 640 << 20},
			{N: 1, Name: shop("log|x"), OID: 101, Kind: plans.Plain, Members: []plans.Member{{Name: shop("log|x"), OID: 101, Leaf: true}}, Record: plans.RecordImage, Rows: 3},
			{N: 2, Name: shop("tariffs"), OID: 102, Kind: plans.Plain, Members: []plans.Member{{Name: shop("tariffs"), OID: 102, Leaf: true}}, Frozen: true},
		},
		Tables: []plans.Table{
			{N: 0, Shadow: shadow("orders"), Final: shop("orders"), Feed: plans.Copied, Source: 0, Production: shop("orders"), Where: "NOT deleted", Upsert: true,
				Key: []plans.Pair{{Production: "id", Shadow: "id"}},
				Columns: []plans.Column{{Shadow: "id", Expression: "id", Origin: plans.FromLineage, Identity: true},
					{Shadow: "total_cents", Expression: "(total * 100)::bigint", Origin: plans.FromPlan},
					{Shadow: "twice", Generated: true, Origin: plans.FromLineage}, {Shadow: "token", Volatile: true, Origin: plans.FromDefault}}},
			{N: 1, Shadow: shadow("log|x"), Final: shop("log|x"), Feed: plans.Copied, Source: 1, Production: shop("log|x"),
				Columns: []plans.Column{{Shadow: "Line", Expression: `"Line"`, Origin: plans.FromLineage}}},
			{N: 2, Shadow: shadow("addresses"), Final: shop("addresses"), Feed: plans.Derived, Source: -1,
				From: "SELECT id AS order_id FROM shop.orders -- all", Key: []plans.Pair{{Shadow: "order_id"}}, Watches: []plans.Watch{{Source: 0}},
				Columns: []plans.Column{{Shadow: "order_id", Expression: "q.order_id", Origin: plans.FromPlan}}},
			{N: 3, Shadow: shadow("states"), Final: shop("states"), Feed: plans.Carried, Source: -1, CarriedRows: "1\ta\n2\tb\n",
				Columns: []plans.Column{{Shadow: "id", Origin: plans.FromBackfill}, {Shadow: "name", Origin: plans.FromBackfill}}},
			{N: 4, Shadow: shadow("audit"), Final: shop("audit"), Feed: plans.Skipped, Source: -1, Production: shop("audit")},
		},
		Shared:    []plans.Shared{{Kind: "TYPE", Name: shop("status")}, {Kind: "SEQUENCE", Name: shop("free"), OwnedByTable: shop("orders"), OwnedByColumn: "id"}},
		Sequences: []plans.Sequence{{Shadow: shadow("orders_id_seq"), Production: shop("orders_id_seq")}, {Shadow: shadow("new_seq")}},
		Entries: []plans.Entry{
			{Tag: "SCHEMA", SQL: "CREATE SCHEMA pgumbra_shop_v2_shop;\n", Stage: plans.StageBuild},
			{Tag: "TABLE", Name: shadow("orders"), SQL: "CREATE TABLE pgumbra_shop_v2_shop.orders (id bigint);", Stage: plans.StageBuild},
			{Tag: "CONSTRAINT", Table: shadow("orders"), SQL: "ALTER TABLE … ADD PRIMARY KEY (id);", Stage: plans.StageKey},
			{Tag: "INDEX", Table: shadow("orders"), SQL: "CREATE INDEX …;", Stage: plans.StageIndex},
			{Tag: "FK CONSTRAINT", Name: shadow("orders orders_fkey"), Table: shadow("orders"), SQL: "ALTER TABLE … ADD FOREIGN KEY (a) REFERENCES b;\n", Stage: plans.StageSwap},
		},
		Matviews:     []pg.Name{shadow("totals")},
		VersionTable: &plans.VersionTable{Name: shop("schema_migrations"), Moves: true, Exists: true},
		Findings: []plans.Finding{
			{Level: plans.Info, Code: "keyless", Object: "shop.log|x", Message: "has no key"},
			{Level: plans.Blocker, Code: "unmapped-backfill", Object: "shop.orders.total_cents", Where: "000042_cents.up.sql:7",
				Message: "The backfill is <lost> & gone.\nSecond line.", Fix: "Write `columns:`."},
			{Level: plans.Warning, Code: "wide", Object: "shop.\x1b[31mred", Message: "wide"},
		},
		Estimates: plans.Estimates{Rows: 5_000_003, Bytes: 640 << 20, ShadowBytes: 750 << 20, WALBytes: 900 << 20, SampleRate: math.NaN(), CopySeconds: math.Inf(1), Locks: 47, LocksCapacity: 6400},
	}
	return p
}
