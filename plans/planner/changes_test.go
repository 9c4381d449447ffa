package planner

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

func TestChangesAreToldFileByFileAndClientsWarned(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE customers (id int PRIMARY KEY, mail text, full_name text, note text);
		CREATE VIEW names AS SELECT full_name FROM customers; CREATE TABLE gone (id int PRIMARY KEY)`,
		`ALTER TABLE shop.customers RENAME mail TO email; ALTER TABLE shop.customers ADD COLUMN code text NOT NULL DEFAULT 'x'`,
		`DROP TABLE shop.gone; DROP VIEW shop.names; ALTER TABLE shop.customers DROP COLUMN full_name;
		 ALTER TABLE shop.customers ALTER COLUMN code DROP DEFAULT;`,
		`ALTER TABLE shop.customers ALTER COLUMN id TYPE bigint; ALTER TABLE shop.customers ADD CHECK (code <> '')`)
	p := s.plan(t)
	want := map[string][]string{
		"000002_step.up.sql": {"→ column shop.customers.mail → shop.customers.email", "+ column shop.customers.code text NOT NULL DEFAULT 'x'::text"},
		"000003_step.up.sql": {"~ column shop.customers.code default 'x'::text → no default", "- column shop.customers.full_name", "- table shop.gone", "- view shop.names"},
		"000004_step.up.sql": {"~ column shop.customers.id integer → bigint", "+ check shop.customers.customers_code_check CHECK ((code <> ''::text))"},
	}
	got := map[string][]string{}
	for _, f := range p.Changes {
		for _, c := range f.Changes {
			got[f.File] = append(got[f.File], c.String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for object, where := range map[string]string{"shop.customers.mail": "000002_step.up.sql:1", "shop.customers.full_name": "000003_step.up.sql:1",
		"shop.gone": "000003_step.up.sql:1", "shop.names": "000003_step.up.sql:1", "shop.customers.code": "000003_step.up.sql:2"} {
		if !has(p, plans.Warning, codeClientBreaks, object) {
			t.Errorf("clients are not warned of %s", object)
		}
		for _, f := range p.Findings {
			if f.Code == codeClientBreaks && f.Object == object && f.Where != where {
				t.Errorf("%s is said to be at %s, not %s", object, f.Where, where)
			}
		}
	}
	if !has(p, plans.Info, codeClientBreaks, "shop.customers.customers_code_check") {
		t.Error("nothing is said of a new constraint")
	}
}

func TestColumnsOfAViewAreMissed(t *testing.T) {
	t.Parallel()
	view := func(columns ...catalog.Column) *catalog.Catalog {
		return &catalog.Catalog{Tables: []*catalog.Table{{OID: 1, Name: pg.Name{Schema: "shop", Name: "v"}, Kind: "v", Columns: columns}}}
	}
	before := view(catalog.Column{Name: "id", Type: "integer"}, catalog.Column{Name: "mail", Type: "text"})
	after := view(catalog.Column{Name: "id", Type: "bigint"}, catalog.Column{Name: "email", Type: "text"})
	var got []string
	for _, f := range viewBreaks(before, after, []string{"shop"}) {
		got = append(got, f.Code+" "+f.Object)
	}
	if want := []string{"result-type-changes shop.v.id", "client-breaks shop.v.mail"}; !slices.Equal(got, want) {
		t.Errorf("told of a view that changes: %v, want %v", got, want)
	}
}

func TestWhatIsMadeAgainUnderItsNameBreaksNoClient(t *testing.T) {
	t.Parallel()
	after := &catalog.Catalog{Tables: []*catalog.Table{{OID: 2, Name: pg.Name{Schema: "shop", Name: "v"}, Kind: "v"}}}
	changes := []catalog.Change{{Act: catalog.Dropped, Kind: "view", Object: "shop.v"}, {Act: catalog.Dropped, Kind: "view", Object: "shop.w"},
		{Act: catalog.Dropped, Kind: "index", Object: "shop.i"}, {Act: catalog.Added, Kind: "column", Object: "shop.a.b", Is: "text NOT NULL DEFAULT ''"},
		{Act: catalog.Added, Kind: "column", Object: "shop.a.c", Is: "bigint NOT NULL GENERATED AS IDENTITY"}}
	found := clientBreaks(after, changes)
	if len(found) != 1 || found[0].Object != "shop.w" {
		t.Errorf("found %+v", found)
	}
}
