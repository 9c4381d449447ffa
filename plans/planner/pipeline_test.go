package planner

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

const numbersEqual = "OPERATOR(pg_catalog.=)"

// ordersIn is a catalog with one table, keyed by its first column.
func ordersIn(schema, name string, columns ...catalog.Column) *catalog.Catalog {
	return &catalog.Catalog{
		Schemas: []catalog.Namespace{{Name: schema}},
		Tables:  []*catalog.Table{{OID: 100, Name: pg.Name{Schema: schema, Name: name}, Kind: "r", Persistence: "p", Columns: columns}},
		Indexes: []*catalog.Index{{OID: 200, Name: pg.Name{Schema: schema, Name: name + "_pkey"}, Table: 100, Unique: true, Primary: true, Immediate: true, Valid: true,
			Keys: []catalog.IndexKey{{Num: 1, Equals: numbersEqual}}}},
	}
}

// read is what the stages that look at servers would have read of a table orders
// that becomes purchases.
func read(after ...catalog.Column) *draft {
	id := catalog.Column{Num: 1, Name: "id", Type: "bigint", NotNull: true, TypeOID: 20}
	total := catalog.Column{Num: 2, Name: "total", Type: "numeric", TypeOID: 1700}
	file := &planfile.File{Name: "pure", Production: planfile.ProductionFile{Schemas: []string{"shop"}}, Settings: plans.DefaultSettings()}
	t := &task{file: file, plan: newPlan(file), log: slog.New(slog.DiscardHandler)}
	t.plan.Schemas = []plans.Schema{{Production: "shop", Shadow: "shadow_shop", Old: "old_shop", Swap: plans.Rename}}
	c := &catalogs{production: ordersIn("shop", "orders", id, total), before: ordersIn("shop", "orders", id, total), after: ordersIn("shop", "purchases", after...)}
	d := newDraft(&trial{site: &site{survey: &survey{task: t, catalogs: c}}})
	d.final = ordersIn("shadow_shop", "purchases", after...)
	return d
}

// infer goes through the stages that ask no server.
func (m *draft) infer() error {
	for _, stage := range []func() error{m.inferTables, m.mapTables, m.chooseKeys, m.inferReverse, m.fillTables, m.backQueries, m.fillBelongings} {
		if err := stage(); err != nil {
			return err
		}
	}
	return nil
}

// TestLineageAsksNoServer: what was renamed is found by the numbers of tables and
// columns alone, and what a column lacks is a finding.
func TestLineageAsksNoServer(t *testing.T) {
	t.Parallel()
	d := read(catalog.Column{Num: 1, Name: "id", Type: "bigint", NotNull: true, TypeOID: 20}, catalog.Column{Num: 2, Name: "amount", Type: "numeric", TypeOID: 1700})
	if err := d.infer(); err != nil {
		t.Fatal(err)
	}
	want := []plans.Column{{Shadow: "id", Type: "bigint", Expression: "id", Origin: plans.FromLineage}, {Shadow: "amount", Type: "numeric", Expression: "total", Origin: plans.FromLineage}}
	table, source := d.plan.Tables[0], d.plan.Sources[0]
	if diff := cmp.Diff(want, table.Columns); diff != "" || table.Feed != plans.Copied || table.Final.Name != "purchases" || !table.Upsert {
		t.Errorf("%+v\n%s", table, diff)
	}
	if diff := cmp.Diff([]plans.KeyColumn{{Name: "id", Type: "bigint", Equals: numbersEqual}}, source.Key); diff != "" || source.Name.Name != "orders" || source.Record != plans.RecordRow {
		t.Errorf("%+v\n%s", source, diff)
	}
	for _, f := range d.plan.Findings {
		if f.Level == plans.Blocker {
			t.Errorf("%+v", f)
		}
	}
	if again := read(d.after.Tables[0].Columns...); again.infer() != nil || !cmp.Equal(again.plan.Tables, d.plan.Tables) {
		t.Error("the same catalogs gave another plan")
	}
}

// TestMappingMissesTheKey: the column that production's rows are known by is gone.
func TestMappingMissesTheKey(t *testing.T) {
	t.Parallel()
	d := read(catalog.Column{Num: 2, Name: "total", Type: "numeric", TypeOID: 1700}, catalog.Column{Num: 3, Name: "code", Type: "bigint", NotNull: true, TypeOID: 20})
	d.final.Indexes, d.after.Indexes = nil, nil
	if err := d.infer(); err != nil {
		t.Fatal(err)
	}
	if !has(d.plan, plans.Blocker, "key-not-carried", "shop.purchases") {
		t.Errorf("%+v", d.plan.Findings)
	}
}

// TestStagesOfTheStructure: where an entry of the dump goes is known by its tag and
// what it is about.
func TestStagesOfTheStructure(t *testing.T) {
	t.Parallel()
	final := ordersIn("shadow_shop", "purchases", catalog.Column{Num: 1, Name: "id", Type: "bigint"})
	s := newStager(final, map[address]uint32{{pgTrigger, 7}: 100})
	for _, c := range []struct {
		entry entryOf
		stage plans.Stage
	}{
		{entryOf{1, pgClass, 100, "TABLE", "purchases"}, plans.StageBuild},
		{entryOf{2, pgClass, 200, "INDEX", "purchases_pkey"}, plans.StageIndex},
		{entryOf{3, pgTrigger, 7, "TRIGGER", "purchases stamp"}, plans.StageSwap},
	} {
		if got := s.entry(c.entry.dumped()); got.Stage != c.stage || got.Table.Name != "purchases" {
			t.Errorf("%+v: %+v", c.entry, got)
		}
	}
}

type entryOf struct {
	toc        int
	class, oid uint32
	tag, name  string
}

func (e entryOf) dumped() pgdump.Entry {
	return pgdump.Entry{TOC: e.toc, Class: e.class, OID: e.oid, Tag: e.tag, Schema: "shadow_shop", Name: e.name}
}
