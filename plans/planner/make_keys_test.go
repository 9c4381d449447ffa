package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMakeChoosesKeysThatTheShadowCarries(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE moved (email text PRIMARY KEY, no int NOT NULL UNIQUE);
		CREATE TABLE late (id int NOT NULL, CONSTRAINT late_key UNIQUE (id) DEFERRABLE);
		ALTER TABLE late ALTER id SET NOT NULL;
		CREATE TABLE hashed (id uuid PRIMARY KEY, v int);
		CREATE TABLE none (v int, w int);
		CREATE TABLE wide (a int, b int, v text, PRIMARY KEY (a, b));
		CREATE TABLE swapped (id int PRIMARY KEY, code text NOT NULL UNIQUE)`,
		`ALTER TABLE moved DROP CONSTRAINT moved_pkey; ALTER TABLE moved DROP COLUMN email; ALTER TABLE moved ADD PRIMARY KEY (no);
		 ALTER TABLE hashed ALTER COLUMN id TYPE text;
		 ALTER TABLE wide DROP CONSTRAINT wide_pkey; CREATE INDEX ON wide (b, a);
		 ALTER TABLE none ADD COLUMN x int DEFAULT 4`)
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "swapped"}, Freeze: true, Record: plans.RecordKey}}
	p := s.runnable(t)
	source := func(name string) plans.Source { return p.Sources[tableNamed(p, t, name).Source] }
	if k := source("shop.moved").Key; len(k) != 1 || k[0].Name != "no" {
		t.Errorf("moved: %+v", k)
	}
	if l := source("shop.late"); l.Record != plans.RecordKey || l.Key[0].Name != "id" || tableNamed(p, t, "shop.late").Upsert {
		t.Errorf("late: %+v", l)
	}
	if h := tableNamed(p, t, "shop.hashed"); h.Key[0].Type != "text" || !h.Upsert {
		t.Errorf("hashed: %+v", h)
	}
	if n := source("shop.none"); n.Record != plans.RecordImage || len(n.Key) != 0 {
		t.Errorf("none: %+v", n)
	}
	if w := tableNamed(p, t, "shop.wide"); w.KeyIndex == 0 || w.Upsert || len(w.Key) != 2 {
		t.Errorf("wide: %+v", w)
	}
	if f := source("shop.swapped"); !f.Frozen || f.Record != plans.RecordKey || tableNamed(p, t, "shop.swapped").Upsert || tableNamed(p, t, "shop.swapped").SoleKey {
		t.Errorf("swapped: %+v", f)
	}
}

func TestMakeBlocksAKeyThatIsLost(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY, v int)`, `ALTER TABLE a DROP COLUMN id; ALTER TABLE a ADD COLUMN id bigserial PRIMARY KEY`)
	if p := s.plan(t); !has(p, plans.Blocker, "key-not-carried", "shop.a") {
		t.Errorf("findings: %+v", p.Findings)
	}
}

func TestMakeKeepsInheritanceFamiliesOnOneKey(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TABLE parent (id int PRIMARY KEY, x text); CREATE TABLE child (y int, PRIMARY KEY (id)) INHERITS (parent);
		CREATE TABLE grandchild (PRIMARY KEY (id)) INHERITS (child)`, `ALTER TABLE parent ADD COLUMN z int`)
	p := s.runnable(t)
	g := p.Sources[tableNamed(p, t, "shop.grandchild").Source]
	if g.Kind != plans.Inherited || g.Record != plans.RecordKey || len(g.Ancestors) != 2 {
		t.Errorf("%+v", g)
	}
	orphan := newShop(t, `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent)`, `ALTER TABLE parent ADD COLUMN z int`)
	if p := orphan.plan(t); !has(p, plans.Blocker, "inheritance-key", "shop.child") {
		t.Errorf("findings: %+v", p.Findings)
	}
}

func TestMakeDerivesTables(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	structure := `CREATE TABLE orders (id int PRIMARY KEY, street text, buyer int NOT NULL); CREATE TABLE buyers (id int PRIMARY KEY, name text)`
	migration := `CREATE TABLE sent (order_id int PRIMARY KEY, street text, name text, no bigserial);
		INSERT INTO sent (order_id, street, name) SELECT o.id, o.street, b.name FROM orders o JOIN buyers b ON b.id = o.buyer`
	from := "SELECT o.id AS order_id, street, b.name FROM shop.orders o JOIN shop.buyers b ON b.id = o.buyer"
	orders := planfile.KeyRule{Source: pg.Name{Schema: "shop", Name: "orders"}, Pairs: []plans.WatchPair{{Column: "id", Shadow: "order_id"}}}
	s := newShop(t, structure, migration)
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "sent"}, From: planfile.Expression{SQL: from}, Key: []planfile.KeyRule{orders}}}
	if p := s.plan(t); !has(p, plans.Blocker, "transform-reads-tables", "shop.sent") || has(p, plans.Blocker, "unmapped-backfill", "") {
		t.Errorf("findings: %+v", p.Findings)
	}
	s.file.Tables[0].Key = append(s.file.Tables[0].Key, planfile.KeyRule{Source: pg.Name{Schema: "shop", Name: "buyers"}, Pairs: []plans.WatchPair{{Column: "name", Shadow: "name"}}})
	p := s.runnable(t)
	sent := tableNamed(p, t, "shop.sent")
	if sent.Feed != plans.Derived || len(sent.Watches) != 2 || sent.Key[0].Shadow != "order_id" || !column(sent, "no").Volatile {
		t.Errorf("%+v", sent)
	}
	if b := p.Sources[sent.Watches[1].Source]; len(b.Tracked) != 1 || b.Tracked[0] != "name" {
		t.Errorf("%+v", b)
	}
}

// What the finding says to write makes the plan runnable, for a table that
// production has too.
func TestMakeTakesADerivedTableForAnUpdateFromAnother(t *testing.T) {
	t.Parallel()
	s := newShop(t, `CREATE TABLE buyers (id int PRIMARY KEY, name text); CREATE TABLE orders (id int PRIMARY KEY, buyer int NOT NULL REFERENCES buyers, note text)`,
		`UPDATE orders o SET note = (SELECT string_agg(b.name, ',') FROM buyers b WHERE b.id = o.buyer)`)
	p := s.plan(t)
	i := slices.IndexFunc(p.Findings, func(f plans.Finding) bool { return f.Code == "unmapped-backfill" })
	if i < 0 || !strings.Contains(p.Findings[i].Fix, "tables: {shop.orders: {from: SELECT <each column of orders> FROM shop.orders JOIN …, key: {shop.orders: {") {
		t.Fatalf("findings: %+v", p.Findings)
	}
	s.file.Tables = []planfile.TableRules{{Name: pg.Name{Schema: "shop", Name: "orders"},
		From: planfile.Expression{SQL: "SELECT o.id, o.buyer, (SELECT string_agg(b.name, ',') FROM shop.buyers b WHERE b.id = o.buyer) AS note FROM shop.orders o"},
		Key: []planfile.KeyRule{{Source: pg.Name{Schema: "shop", Name: "orders"}, Pairs: []plans.WatchPair{{Column: "id", Shadow: "id"}}},
			{Source: pg.Name{Schema: "shop", Name: "buyers"}, Pairs: []plans.WatchPair{{Column: "id", Shadow: "buyer"}}}}}}
	if orders := tableNamed(s.runnable(t), t, "shop.orders"); orders.Feed != plans.Derived {
		t.Errorf("%+v", orders)
	}
}

// TestMakeNamesTheGrantsThatSuffice types each GRANT that the plan asks for, and
// nothing else.
func TestMakeNamesTheGrantsThatSuffice(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	s := newShop(t, `CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE a (id serial PRIMARY KEY, m mood); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
		ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE a FORCE ROW LEVEL SECURITY; CREATE EXTENSION pg_trgm SCHEMA public`, `ALTER TABLE a ADD COLUMN b int`)
	owner, role := "owner_of_"+s.file.Name, "role_of_"+s.file.Name
	s.exec(t, strings.NewReplacer("OWNR_", pg.Ident(owner), "ROLE_", pg.Ident(role)).Replace(`CREATE ROLE OWNR_; CREATE ROLE ROLE_ LOGIN;
		ALTER SCHEMA shop OWNER TO OWNR_; ALTER TABLE shop.a OWNER TO OWNR_; ALTER TYPE shop.mood OWNER TO OWNR_; ALTER FUNCTION shop.f() OWNER TO OWNR_;
		ALTER TABLE shop.schema_migrations OWNER TO OWNR_`))
	t.Cleanup(func() {
		for _, r := range []string{role, owner} {
			s.exec(t, "DROP OWNED BY "+pg.Ident(r)+" CASCADE")
			s.exec(t, "DROP ROLE "+pg.Ident(r))
		}
	})
	s.file.Production.DSN = asUser(s.file.Production.DSN, role)
	typed := map[string]bool{}
	for range 5 {
		p := s.plan(t)
		if p.Runnable {
			break
		}
		for _, f := range p.Findings {
			if f.Level != plans.Blocker {
				continue
			}
			if f.Code != "privileges" {
				t.Fatalf("%+v", f)
			}
			statement, _, _ := strings.Cut(f.Fix, ";")
			if typed[statement] {
				t.Fatalf("%s was typed already: %+v", statement, f)
			}
			typed[statement] = true
			s.exec(t, statement)
		}
	}
	if p := s.plan(t); !p.Runnable {
		t.Errorf("findings after %v: %+v", typed, p.Findings)
	}
	t.Log(typed)
}

func asUser(dsn, user string) string {
	if scheme, rest, ok := strings.Cut(dsn, "://"); ok {
		_, host, found := strings.Cut(rest, "@")
		if !found {
			host = rest
		}
		return scheme + "://" + user + "@" + host
	}
	return dsn + " user=" + user
}
