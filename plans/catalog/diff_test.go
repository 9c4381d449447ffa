package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/pg"
)

func shop(name string) pg.Name { return pg.Name{Schema: "shop", Name: name} }

func lines(changes []Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return all
}

func TestDiffTellsRenamesFromNewThings(t *testing.T) {
	t.Parallel()
	before := &Catalog{
		Tables: []*Table{
			{OID: 1, Name: shop("orders"), Kind: "r", Columns: []Column{
				{Num: 1, Name: "id", Type: "integer", NotNull: true}, {Num: 2, Name: "mail", Type: "text"}, {Num: 3, Name: "total", Type: "numeric", Default: "0"}}},
			{OID: 2, Name: shop("old"), Kind: "r", Columns: []Column{{Num: 1, Name: "a", Type: "text"}}},
			{OID: 3, Name: shop("open"), Kind: "v", Definition: "SELECT 1"},
			{OID: 4, Name: pg.Name{Schema: "other", Name: "left_alone"}, Kind: "r"},
			{OID: 5, Name: shop("again"), Kind: "r", Columns: []Column{{Num: 1, Name: "a", Type: "text"}}},
		},
		Indexes: []*Index{{OID: 11, Name: shop("orders_mail"), Table: 1}, {OID: 12, Name: shop("old_a"), Table: 2}},
		Constraints: []*Constraint{
			{OID: 21, Name: "orders_pkey", Table: 1, Kind: "p", Definition: "PRIMARY KEY (id)"},
			{OID: 22, Name: "orders_total_check", Table: 1, Kind: "c", Definition: "CHECK (total > 0)"}},
		Attached: []*Attached{{Kind: "trigger", OID: 51, Table: 1, Name: "touch", Definition: "BEFORE UPDATE", Fingerprint: "1"},
			{Kind: "trigger", OID: 52, Table: 1, Name: "again", Definition: "AFTER INSERT", Fingerprint: "2"}, {Kind: "policy", OID: 53, Table: 1, Name: "mine", Fingerprint: "3"},
			{Kind: "trigger", OID: 54, Table: 2, Name: "gone_with_it"}},
		Types:     []*Type{{OID: 31, Name: shop("status"), Kind: "e", Definition: "'new','old'", Labels: map[uint32]string{1: "new", 2: "old"}}},
		Functions: []*Function{{OID: 41, Name: shop("f"), Arguments: "(integer)", Kind: "f", Definition: "one"}},
	}
	after := &Catalog{
		Tables: []*Table{
			{OID: 1, Name: shop("purchases"), Kind: "r", Columns: []Column{
				{Num: 1, Name: "id", Type: "bigint", NotNull: true}, {Num: 2, Name: "email", Type: "text", NotNull: true},
				{Num: 4, Name: "state", Type: "shop.status", NotNull: true, Default: "'new'::shop.status"}, {Num: 5, Name: "must", Type: "text", NotNull: true}}},
			{OID: 3, Name: shop("open"), Kind: "v", Definition: "SELECT 2"},
			{OID: 6, Name: shop("fresh"), Kind: "r", Columns: []Column{{Num: 1, Name: "a", Type: "text"}}},
			{OID: 7, Name: shop("again"), Kind: "r", Columns: []Column{{Num: 1, Name: "a", Type: "text"}}},
		},
		Indexes: []*Index{{OID: 13, Name: shop("purchases_email"), Table: 1, Unique: true}, {OID: 14, Name: shop("fresh_a"), Table: 6}},
		Constraints: []*Constraint{
			{OID: 23, Name: "orders_pkey", Table: 1, Kind: "p", Definition: "PRIMARY KEY (id)"},
			{OID: 24, Name: "orders_total_check", Table: 1, Kind: "c", Definition: "CHECK (total >= 0)"}},
		Attached: []*Attached{{Kind: "trigger", OID: 51, Table: 1, Name: "touch", Definition: "BEFORE INSERT OR UPDATE", Fingerprint: "1b"},
			{Kind: "trigger", OID: 55, Table: 1, Name: "again", Definition: "AFTER INSERT", Fingerprint: "2"}, {Kind: "policy", OID: 53, Table: 1, Name: "ours", Fingerprint: "3"}},
		Types:     []*Type{{OID: 31, Name: shop("status"), Kind: "e", Definition: "'fresh','old','gone'", Labels: map[uint32]string{1: "fresh", 2: "old", 3: "gone"}}},
		Functions: []*Function{{OID: 42, Name: shop("f"), Arguments: "(integer)", Kind: "f", Definition: "one"}},
	}
	want := []string{
		"→ table shop.orders → shop.purchases",
		"~ column shop.purchases.id integer → bigint",
		"→ column shop.orders.mail → shop.purchases.email",
		"~ column shop.purchases.email NULL → NOT NULL",
		"+ column shop.purchases.state shop.status NOT NULL DEFAULT 'new'::shop.status",
		"+ column shop.purchases.must text NOT NULL",
		"- column shop.orders.total",
		"~ view shop.open another definition",
		"+ table shop.fresh (1 column)",
		"~ table shop.again made anew",
		"- table shop.old",
		"+ unique index shop.purchases_email",
		"- index shop.orders_mail",
		"~ check shop.purchases.orders_total_check CHECK (total > 0) → CHECK (total >= 0)",
		"~ trigger shop.purchases.touch BEFORE UPDATE → BEFORE INSERT OR UPDATE",
		"→ policy shop.orders.mine → shop.purchases.ours",
		"→ enum label shop.status.new → shop.status.fresh",
		"+ enum label shop.status.gone",
	}
	if diff := cmp.Diff(want, lines(Diff(before, after, []string{"shop"}))); diff != "" {
		t.Error(diff)
	}
	if again := Diff(after, after, []string{"shop"}); len(again) != 0 {
		t.Errorf("nothing changed, and %v is told", lines(again))
	}
}

// TestDiffTellsWhatWasMadeAgain: what is dropped and made again under its name is told
// by what became of it, and what came out the same is not.
func TestDiffTellsWhatWasMadeAgain(t *testing.T) {
	t.Parallel()
	at := func(first uint32, view, function, domain string, labels map[uint32]string, enum string, columns ...IndexKey) *Catalog {
		return &Catalog{
			Tables:    []*Table{{OID: 1, Name: shop("orders"), Kind: "r"}, {OID: first + 1, Name: shop("open"), Kind: "v", Definition: view}},
			Indexes:   []*Index{{OID: first + 2, Name: shop("found"), Table: 1, Keys: columns}},
			Types:     []*Type{{OID: first + 3, Name: shop("status"), Kind: "e", Definition: enum, Labels: labels}, {OID: first + 4, Name: shop("cents"), Kind: "d", Definition: domain}},
			Functions: []*Function{{OID: first + 5, Name: shop("f"), Arguments: "()", Kind: "f", Definition: function}},
		}
	}
	before := at(10, "SELECT 1", "one", "integer", map[uint32]string{1: "new", 2: "old"}, "'new','old'", IndexKey{Num: 1})
	same := at(20, "SELECT 1", "one", "integer", map[uint32]string{3: "new", 4: "old"}, "'new','old'", IndexKey{Num: 1})
	if again := Diff(before, same, []string{"shop"}); len(again) != 0 {
		t.Errorf("nothing changed, and %v is told", lines(again))
	}
	after := at(20, "SELECT 2", "two", "bigint", map[uint32]string{5: "new", 6: "sent"}, "'new','sent'", IndexKey{Num: 1}, IndexKey{Num: 2})
	want := []string{"~ view shop.open another definition", "~ index shop.found another definition", "+ enum label shop.status.sent", "- enum label shop.status.old",
		"~ domain shop.cents another definition", "~ function shop.f() another definition"}
	if diff := cmp.Diff(want, lines(Diff(before, after, []string{"shop"}))); diff != "" {
		t.Error(diff)
	}
	turned := at(20, "SELECT 1", "one", "integer", map[uint32]string{5: "old", 6: "new"}, "'old','new'", IndexKey{Num: 1})
	if diff := cmp.Diff([]string{"~ enum shop.status another order of its labels"}, lines(Diff(before, turned, []string{"shop"}))); diff != "" {
		t.Error(diff)
	}
}
