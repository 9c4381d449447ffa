package planfile

import (
	"strings"
	"testing"
)

const groupText = `name: shop-v2
production:
  schemas: [shop]
  databases:
    - name: orders
      dsn: host=a dbname=orders
    - name: billing
      dsn: host=b dbname=billing
      schemas: [billing, audit]
      migrations: {path: billing}
      tables: {billing.log: {skip: true}}
      copy: {workers: 7}
migrations: {path: ./m, table: versions}
tables: {shop.tariffs: {freeze: true}}
cutover: {max_stall: 700ms}
`

func TestEachDatabaseOfAGroupHasAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	f, err := parseFile("x/plan.yaml", []byte(groupText), map[string]any{"copy.chunk_rows": "9"})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Grouped() || f.Name != "shop-v2" || f.Production.DSN != "" || strings.Join(f.MemberNames(), " ") != "orders billing" {
		t.Fatalf("%+v", f)
	}
	orders, billing := f.Members[0], f.Members[1]
	switch {
	case orders.Name != "shop-v2" || orders.Production.DSN != "host=a dbname=orders" || orders.Migrations.Path != "x/m" || orders.Copy.Workers != 2,
		orders.Copy.ChunkRows != 9, len(orders.Tables) != 1 || !orders.Tables[0].Freeze, orders.Production.Schemas[0] != "shop":
		t.Errorf("orders: %+v", orders)
	case billing.Production.DSN != "host=b dbname=billing" || billing.Migrations.Path != "x/billing" || billing.Migrations.Table != "versions",
		billing.Copy.Workers != 7, billing.Copy.ChunkRows != 9, len(billing.Tables) != 1 || !billing.Tables[0].Skip, len(billing.Production.Schemas) != 2,
		billing.Cutover.MaxStall != orders.Cutover.MaxStall:
		t.Errorf("billing: %+v", billing)
	case billing.Member != "billing" || len(billing.Group) != 2 || billing.Line("migrations.path") != 10 || billing.Line("migrations.table") != 13:
		t.Errorf("billing: %+v, lines %d %d", billing, billing.Line("migrations.path"), billing.Line("migrations.table"))
	}
}

func TestMistakesInAGroupNameLineAndKey(t *testing.T) {
	t.Setenv("PGUMBRA_SHADOW_DSN", "")
	for name, c := range map[string]struct {
		from, to string
		want     []string
		set      map[string]any
	}{
		"one database":       {"    - name: billing", "      copy: {workers: 1}\n#", []string{"production.databases takes a list of two"}, nil},
		"no list":            {"  databases:\n", "  databases: {a: b}\n  x:\n", []string{":4: production.databases takes a list"}, nil},
		"no name":            {"    - name: billing\n      dsn", "    - dsn", []string{":7: production.databases: a database has no name"}, nil},
		"twice":              {"name: billing", "name: orders", []string{":7: production.databases: orders stands on line 5 already"}, nil},
		"bad name":           {"name: billing", "name: b/c", []string{`:7: production.databases: "b/c" is not a name`}, nil},
		"unknown key":        {"schemas: [billing", "schema: [billing", []string{":9: unknown key production.databases.schema", "did you mean schemas?"}, nil},
		"a shared key":       {"copy: {workers: 7}", "cutover: {max_stall: 2s}", []string{":12: unknown key production.databases.cutover", "the same for all databases"}, nil},
		"a bad value":        {"workers: 7", "workers: many", []string{`:12: copy.workers: "many" is not a whole number`}, nil},
		"a bad shared value": {"700ms", "soon", []string{`:15: cutover.max_stall: "soon" is not a duration`}, nil},
		"no dsn":             {"      dsn: host=b dbname=billing\n", "", []string{":7: production.databases: billing has no dsn"}, nil},
		"the same database":  {"host=b dbname=billing", "host=a dbname=orders", []string{":7: production.databases: billing is the database of line 5 once more"}, nil},
		"dsn beside it":      {"  schemas: [shop]\n", "  schemas: [shop]\n  dsn: host=c\n", []string{":4: production.dsn stands beside"}, nil},
		"shadow beside it":   {"cutover:", "shadow: {dsn: host=c}\ncutover:", []string{":15: shadow.dsn stands beside"}, nil},
		"schemas missing":    {"  schemas: [shop]\n", "", []string{":4: production.databases: orders: production.schemas names no schema"}, nil},
		"dsn by a flag":      {"", "", []string{"production.dsn is set for all databases"}, map[string]any{"production.dsn": "host=c"}},
		"a bad flag":         {"", "", []string{`copy.workers: "x" is not a whole number`}, map[string]any{"copy.workers": "x"}},
	} {
		text := strings.Replace(groupText, c.from, c.to, 1)
		_, err := parseFile("plan.yaml", []byte(text), c.set)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in\n%v", name, want, err)
			}
		}
		if strings.Count(err.Error(), c.want[0]) > 1 {
			t.Errorf("%s: told twice:\n%v", name, err)
		}
	}
}
