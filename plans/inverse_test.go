package plans

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/pg"
)

func inShop(name string) pg.Name   { return pg.Name{Schema: "shop", Name: name} }
func inShadow(name string) pg.Name { return pg.Name{Schema: "pgumbra_up_shop", Name: name} }
func inOld(name string) pg.Name    { return pg.Name{Schema: "pgumbra_up_old_shop", Name: name} }

// there is a plan with a renamed key, a dropped column, a filter and an enum that was
// replaced; rows of split go to two tables, whose filters divide them.
func there() *Plan {
	id := func(name string) []Pair {
		return []Pair{{Production: "id", Shadow: name, Expression: "id", Type: "bigint", Equals: "OPERATOR(pg_catalog.=)"}}
	}
	key := []KeyColumn{{Name: "id", Type: "integer", Equals: "OPERATOR(pg_catalog.=)"}}
	version := int64(2)
	return &Plan{
		ToVersion: &version, Settings: DefaultSettings(),
		Schemas: []Schema{{Production: "shop", Shadow: "pgumbra_up_shop", Old: "pgumbra_up_old_shop", Swap: Rename}},
		Sources: []Source{
			{N: 0, Name: inShop("orders"), Kind: Plain, Key: key, Record: RecordRow},
			{N: 1, Name: inShop("split"), Kind: Plain, Key: key, Record: RecordRow},
			{N: 2, Name: inShop("wide"), Kind: Plain, Key: key, Record: RecordKey},
		},
		Tables: []Table{
			{N: 0, Shadow: inShadow("added"), Final: inShop("added"), Feed: Carried, Source: -1},
			{N: 1, Shadow: inShadow("sales"), Final: inShop("sales"), Feed: Copied, Source: 0, Production: inShop("orders"), Where: "NOT deleted", Key: id("sale"),
				Columns: []Column{{Shadow: "sale", Type: "bigint", Expression: "id"}, {Shadow: "state", Type: "pgumbra_up_shop.state", Expression: "state::text::pgumbra_up_shop.state"}},
				Reverse: []Column{{Shadow: "id", Type: "integer", Expression: "sale", Loss: "are beyond the range of integer"}, {Shadow: "state", Type: "shop.state", Expression: "state::text::shop.state"},
					{Shadow: "note", Type: "text", Kept: true}, {Shadow: "twice", Type: "integer", Generated: true}}},
			{N: 2, Shadow: inShadow("open"), Final: inShop("open"), Feed: Copied, Source: 1, Where: "open", Key: id("id"), Reverse: []Column{{Shadow: "id", Type: "integer", Expression: "id"}}},
			{N: 3, Shadow: inShadow("shut"), Final: inShop("shut"), Feed: Copied, Source: 1, Where: "NOT open", Key: id("id"), Reverse: []Column{{Shadow: "id", Type: "integer", Expression: "id"}}},
			{N: 4, Shadow: inShadow("wide"), Final: inShop("wide"), Feed: Copied, Source: 2, Key: id("id"), Columns: []Column{{Shadow: "id", Type: "bigint", Expression: "id"}}, Reverse: []Column{{Shadow: "id", Type: "integer", Expression: "id"}}},
		},
		Sequences: []Sequence{{Shadow: inShadow("orders_id_seq"), Production: inShop("orders_id_seq")}, {Shadow: inShadow("added_id_seq")}},
	}
}

func TestInverseExchangesTheEnds(t *testing.T) {
	t.Parallel()
	back := there().Inverse()
	if !back.Backwards() || back.FromVersion == nil || back.ToVersion != nil || back.Reversible() != true {
		t.Errorf("%+v", back)
	}
	if s := back.Schemas[0]; !cmp.Equal(s, Schema{Production: "shop", Shadow: "pgumbra_up_old_shop", Old: "pgumbra_up_shop", Swap: Rename}) {
		t.Errorf("schema: %+v", s)
	}
	want := []Table{
		{N: 0, Shadow: inOld("orders"), Final: inShop("orders"), Feed: Copied, Kind: Plain, Source: 1, Production: inShop("sales"), Own: "NOT deleted",
			Key: []Pair{{Production: "sale", Shadow: "id", Expression: "sale", Type: "integer", Equals: "OPERATOR(pg_catalog.=)"}},
			Columns: []Column{{Shadow: "id", Type: "integer", Expression: "sale", Loss: "are beyond the range of integer"},
				{Shadow: "state", Type: `"pgumbra_up_old_shop".state`, Expression: `state::text::"pgumbra_up_old_shop".state`},
				{Shadow: "note", Type: "text", Kept: true, Volatile: true}, {Shadow: "twice", Type: "integer", Generated: true}},
			Reverse: []Column{}},
		{N: 1, Shadow: inOld("wide"), Final: inShop("wide"), Feed: Copied, Kind: Plain, Source: 4, Production: inShop("wide"),
			Key:     []Pair{{Production: "id", Shadow: "id", Expression: "id", Type: "integer", Equals: "OPERATOR(pg_catalog.=)"}},
			Columns: []Column{{Shadow: "id", Type: "integer", Expression: "id"}}, Reverse: []Column{}},
	}
	if diff := cmp.Diff(want, back.Tables); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	if len(back.Sources) != 5 || back.Sources[4].Record != RecordKey || back.Sources[1].Name != inShop("sales") || back.Sources[1].Key[0].Name != "sale" {
		t.Errorf("sources: %+v", back.Sources)
	}
	if len(back.Sequences) != 1 || back.Sequences[0].Shadow != inOld("orders_id_seq") || back.Sequences[0].Production != inShop("orders_id_seq") {
		t.Errorf("sequences: %+v", back.Sequences)
	}
}

// What a rollback would lose is said: a table whose rows were divided, a dropped
// column, values beyond a type.
func TestLostIsTold(t *testing.T) {
	t.Parallel()
	p := there()
	if lost := p.Lost(); len(lost) != 1 || lost[0] != inShop("split") {
		t.Errorf("lost: %v", lost)
	}
	id, note := "shop.orders.id: values that are beyond the range of integer", "shop.orders.note: rows of before the cutover keep its last value, newer ones get its default"
	if diff := cmp.Diff([]string{note}, p.LostColumns()); diff != "" {
		t.Errorf("lost columns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{id + ", if there are some, do not come back as they are"}, p.MayLose()); diff != "" {
		t.Errorf("columns that may lose (-want +got):\n%s", diff)
	}
	of := &p.Tables[1].Reverse[0]
	of.Held = true
	if diff := cmp.Diff([]string{id + " do not come back as they are", note}, p.LostColumns()); diff != "" || len(p.MayLose()) > 0 {
		t.Errorf("what rows held (-want +got):\n%s", diff)
	}
	of.Held, of.Spared = false, true
	if diff := cmp.Diff([]string{note}, append(p.LostColumns(), p.MayLose()...)); diff != "" {
		t.Errorf("what no row held (-want +got):\n%s", diff)
	}
}

// TestLeftBehindIsTold: what only the new side holds, and what becomes of it where that
// is followed again.
func TestLeftBehindIsTold(t *testing.T) {
	t.Parallel()
	p := there()
	p.Sources[0].Columns = []SourceColumn{{Name: "id"}, {Name: "state"}, {Name: "note"}}
	sales := &p.Tables[1]
	sales.Columns = append(sales.Columns, Column{Shadow: "since", Expression: "now()", Volatile: true, Origin: FromDefault},
		Column{Shadow: "currency", Type: "text", Expression: "'state'::text"}, Column{Shadow: "label", Type: "text", Expression: "upper(note)"},
		Column{Shadow: "length", Type: "integer", Expression: "length(note)", Generated: true})
	want := []string{
		"shop.added: its rows do not go back; a rollback leaves what is written to it on the new side, and --follow keeps it there",
		"shop.sales: no old column holds since, currency; a rollback leaves what is written there on the new side, and --follow keeps it",
		"shop.sales: no old column is made of label; what is written there is lost in a rollback, with --follow too, which makes it anew of the old row",
		"shop.open: its rows do not go back; what is written to it is lost in a rollback, with --follow too, which makes them anew of production's",
		"shop.shut: its rows do not go back; what is written to it is lost in a rollback, with --follow too, which makes them anew of production's",
	}
	if diff := cmp.Diff(want, p.LeftBehind()); diff != "" {
		t.Errorf("left behind (-want +got):\n%s", diff)
	}
	p.FollowAgain()
	for _, c := range sales.Columns {
		if kept := c.Shadow == "since" || c.Shadow == "currency"; c.Volatile != kept {
			t.Errorf("%s is kept where the new side is followed again: %v", c.Shadow, c.Volatile)
		}
	}
}

// TestTablesAreKnownByTheirOwnNames: one that gets rows of a table that is there still is
// not called by that one's name; a renamed one is called as in production.
func TestTablesAreKnownByTheirOwnNames(t *testing.T) {
	t.Parallel()
	shop := func(name string) pg.Name { return pg.Name{Schema: "shop", Name: name} }
	p := &Plan{Tables: []Table{
		{N: 0, Production: shop("customers"), Final: shop("customers")},
		{N: 1, Production: shop("customers"), Final: shop("addresses")},
		{N: 2, Production: shop("log"), Final: shop("journal")},
		{N: 3, Final: shop("fresh")},
	}}
	var known []string
	for i := range p.Tables {
		known = append(known, p.Known(&p.Tables[i]).String())
	}
	if diff := cmp.Diff([]string{"shop.customers", "shop.addresses", "shop.log", "shop.fresh"}, known); diff != "" {
		t.Error(diff)
	}
}
