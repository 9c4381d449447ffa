package replay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// pureRun has one source of each kind that changes the texts.
func pureRun() *control.Run {
	name := func(n string) pg.Name { return pg.Name{Schema: "shop", Name: n} }
	equals := "OPERATOR(pg_catalog.=)"
	sources := []plans.Source{
		{N: 0, Name: name("Order"), Kind: plans.Plain, Record: plans.RecordRow,
			Columns: []plans.SourceColumn{{Name: "id", Type: "integer"}, {Name: "who", Type: "text"}, {Name: "umbra_x", Type: "text"}},
			Key: []plans.KeyColumn{{Name: "id", Type: "integer", Equals: equals},
				{Name: "who", Type: "text", Collation: `shop."ci"`, Equals: equals}}},
		{N: 1, Name: name("kid"), Kind: plans.Inherited, Record: plans.RecordKey, Ancestors: []int{2},
			Columns: []plans.SourceColumn{{Name: "id", Type: "integer"}}, Key: []plans.KeyColumn{{Name: "id", Type: "integer", Equals: equals}}},
		{N: 2, Name: name("base"), Kind: plans.Inherited, Record: plans.RecordKey,
			Columns: []plans.SourceColumn{{Name: "id", Type: "integer"}}, Key: []plans.KeyColumn{{Name: "id", Type: "integer", Equals: equals}}},
		{N: 3, Name: name("log"), Kind: plans.Partitioned, Record: plans.RecordImage, Columns: []plans.SourceColumn{{Name: "at", Type: "text"}}},
	}
	return &control.Run{ID: 7, Plan: &plans.Plan{Sources: sources}}
}

func pureFeed(t *testing.T, table plans.Table) *applier {
	t.Helper()
	f, err := newApplier(pureRun(), &table)
	if err != nil {
		t.Fatal(err)
	}
	f.collations = map[string]string{"Who": `"pg_catalog"."C"`}
	return f
}

func pureOrder() plans.Table {
	equals := "OPERATOR(pg_catalog.=)"
	return plans.Table{Shadow: pg.Name{Schema: "twin", Name: "Order"}, Feed: plans.Copied, Kind: plans.Partitioned, Source: 0,
		Where:   "id > 0 -- all",
		Columns: transforms([]string{"id bigint = id", "Who text = who", "made timestamptz = volatile"}),
		Key: []plans.Pair{{Production: "who", Shadow: "Who", Expression: "who", Type: "text", Equals: equals},
			{Production: "id", Shadow: "id", Expression: "id", Type: "bigint", Equals: equals}}}
}

// Texts of statements stand in testdata, one file a case: UPDATE_TEXTS=1 writes
// them anew, to be read in the diff.
func TestStatementTexts(t *testing.T) {
	t.Parallel()
	upsert := pureOrder()
	upsert.Upsert = true
	kid := plans.Table{Shadow: pg.Name{Schema: "twin", Name: "kid"}, Feed: plans.Copied, Kind: plans.Inherited, Source: 1,
		Columns: transforms([]string{"id bigint = id"}),
		Key:     []plans.Pair{{Production: "id", Shadow: "id", Expression: "id", Type: "bigint", Equals: "OPERATOR(pg_catalog.=)"}}}
	log := plans.Table{Shadow: pg.Name{Schema: "twin", Name: "log"}, Feed: plans.Copied, Kind: plans.Plain, Source: 3,
		Columns: transforms([]string{"at timestamptz = at::timestamptz"})}
	sums := plans.Table{Shadow: pg.Name{Schema: "twin", Name: "sums"}, Feed: plans.Derived, Kind: plans.Plain, Source: -1,
		Columns: transforms([]string{"id bigint = id", "n bigint = n"}), From: "SELECT id, count(*) AS n FROM kid GROUP BY id",
		Watches: []plans.Watch{{Source: 1, Columns: []plans.WatchPair{{Column: "id", Shadow: "id"}}}}}
	looking := pureOrder()
	looking.Watches = []plans.Watch{{Source: 2, Columns: []plans.WatchPair{{Column: "id"}}, Reach: &plans.Reach{From: []string{"ONLY shop.kid AS pgumbra_l1"},
		Where: `pgumbra_changed.id = pgumbra_l1.id AND pgumbra_l1.id = "Order".id -- by id`}}}
	at := scope{position: "10:20:15"}
	piece := scope{position: "10:20:15", pieces: 4, piece: 1}
	order := pureFeed(t, pureOrder())
	logs, derived := pureFeed(t, log), pureFeed(t, sums)
	g := group{lower: []string{"1", "a"}, upper: []string{"9", "z"}, size: 1000}
	for name, todo := range map[string][]statement{
		"upsert":        pureFeed(t, upsert).applyKeyed(at),
		"upsert_piece":  pureFeed(t, upsert).applyKeyed(piece),
		"keep_volatile": order.applyKeyed(at),
		"inherited":     pureFeed(t, kid).applyKeyed(at),
		"looked_up":     pureFeed(t, looking).applyKeyed(piece)[1:2],
		"partition":     {order.deleteAbsent()},
		"rebuild":       order.rebuild(),
		"keyless":       {logs.removeCopies(at), logs.addCopies(at)},
		"derived": append([]statement{derived.countReached(at, 0), derived.deleteReached(at, 0, reach{values: 1})},
			append(derived.insertReached(at, 0, []reach{{values: 1}, {}}), derived.insertReached(at, 1, []reach{{}, {values: 500, nulls: true}})...)...),
		"verify": {{sql: order.boundSQL(group{lower: g.lower, size: g.size})}, {sql: order.productionSums(g)}, {sql: order.shadowSums(g)}, {sql: order.differencesSQL(g)},
			{sql: logs.differencesSQL(group{})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var texts []string
			for _, s := range todo {
				texts = append(texts, s.sql+";\n")
			}
			compareText(t, name, strings.Join(texts, "\n"))
		})
	}
}

func compareText(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".sql")
	if os.Getenv("UPDATE_TEXTS") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestFeedRefusesKeysThatTheShadowDropped(t *testing.T) {
	t.Parallel()
	table := pureOrder()
	table.Key = table.Key[:1]
	if _, err := newApplier(pureRun(), &table); err == nil || err.Error() != "follow twin.Order: no shadow column holds the key column id" {
		t.Errorf("got %v", err)
	}
}

func TestSameOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"integer", "bigint", true}, {"bigint", "integer", true}, {"uuid", "uuid", true}, {"uuid", "text", false},
		{"character varying(10)", "text", true}, {"character varying(10)", "character varying(20)", true},
		{"character varying(20)", "character varying(10)", false}, {"text", "character varying(10)", false},
		{"text", "character varying", true}, {"numeric(10,2)", "numeric(12,2)", false}, {"integer", "text", false},
	} {
		if got := sameOrder(c.from, c.to); got != c.want {
			t.Errorf("%s to %s: %v", c.from, c.to, got)
		}
	}
}

func TestUnusedNames(t *testing.T) {
	t.Parallel()
	if got := unused([]string{"id", "umbra_row", "umbrax"}); got != "umbra__" {
		t.Errorf("got %s", got)
	}
	if got := unused([]string{"umbra"}); got != "umbra_" {
		t.Errorf("got %s", got)
	}
}
