package transforms_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
)

var (
	seedFlag  = flag.Uint64("syntax.seed", 0, "seed of the first random migration; 0: 1")
	countFlag = flag.Int("syntax.random", 12, "random migrations to try")
)

// TestRandomMigrationsEqualInPlace makes migrations at random out of what is
// understood: none may be a blocker, each must give what it gives in place.
func TestRandomMigrationsEqualInPlace(t *testing.T) {
	t.Parallel()
	databases := newBenches(t, 2)
	for i := range *countFlag {
		seed := max(*seedFlag, 1) + uint64(i)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			g := newGenerator(seed)
			h := history{structure: generatorStructure, rows: generatorRows, files: g.files()}
			t.Logf("%s", strings.Join(h.files, "\n--\n"))
			h.wantEqual(t, databases.take(t))
		})
	}
}

const generatorStructure = `CREATE TABLE t (id int PRIMARY KEY, i int, j bigint, s text, "S 2" varchar(60), n numeric(9,2), b boolean NOT NULL DEFAULT true);`

const generatorRows = `INSERT INTO t SELECT i, nullif(i % 7, 3), i * 3, CASE WHEN i % 4 > 0 THEN 's' || i % 5 END, nullif('x' || i % 3, 'x2'), i * 1.11, i % 3 = 0 FROM generate_series(1, 40) i`

// model is a table as the generator knows it.
type model struct {
	name    string
	columns []modelColumn
}

type modelColumn struct{ name, kind string } // kind: int, text, numeric, boolean

type generator struct {
	*rand.Rand
	tables []*model
	next   int
	out    []string
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, seed)), tables: []*model{{name: "t", columns: []modelColumn{
		{"id", "key"}, {"i", "int"}, {"j", "int"}, {"s", "text"}, {"S 2", "text"}, {"n", "numeric"}, {"b", "boolean"}}}}}
}

func (g *generator) files() []string {
	steps := []func(*model){g.add, g.update, g.update, g.update, g.retype, g.rename, g.remove, g.split, g.drop}
	var files []string
	for range 3 {
		g.out = nil
		for range 4 {
			steps[g.IntN(len(steps))](g.tables[g.IntN(len(g.tables))])
		}
		files = append(files, strings.Join(g.out, ";\n")+";")
	}
	return files
}

func (g *generator) emit(format string, args ...any) {
	g.out = append(g.out, fmt.Sprintf(format, args...))
}

func (g *generator) fresh(prefix string) string { g.next++; return fmt.Sprint(prefix, g.next) }

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

// column picks one that is not the key.
func (g *generator) column(m *model) *modelColumn {
	if len(m.columns) < 2 {
		return nil
	}
	return &m.columns[1+g.IntN(len(m.columns)-1)]
}

func (g *generator) add(m *model) {
	c := modelColumn{g.fresh("c"), g.pick("int", "text", "numeric", "boolean")}
	def := ""
	if g.IntN(2) == 0 {
		def = " DEFAULT " + map[string]string{"int": "7", "text": "'d''e'", "numeric": "1.5", "boolean": "true"}[c.kind]
	}
	g.emit("ALTER TABLE %s ADD %s %s%s", m.name, c.name, map[string]string{"int": "bigint", "text": "text", "numeric": "numeric", "boolean": "boolean"}[c.kind], def)
	if g.IntN(2) == 0 {
		g.emit("UPDATE %s SET %s = %s WHERE %s IS NULL", m.name, c.name, g.expr(m, c.kind, 2), c.name)
	}
	m.columns = append(m.columns, c)
}

func (g *generator) update(m *model) {
	a, b := g.column(m), g.column(m)
	if a == nil {
		return
	}
	sets := pg.Ident(a.name) + " = " + g.expr(m, a.kind, 3)
	if a.name != b.name {
		sets += ", " + pg.Ident(b.name) + " = " + g.expr(m, b.kind, 2)
	}
	where := ""
	if g.IntN(3) > 0 {
		where = " WHERE " + g.expr(m, "boolean", 3)
	}
	g.emit("UPDATE %s SET %s%s", m.name, sets, where)
}

func (g *generator) retype(m *model) {
	c := g.column(m)
	if c == nil || c.name == "b" || c.name == "S 2" {
		return
	}
	name := pg.Ident(c.name)
	switch c.kind {
	case "int":
		if g.IntN(2) == 0 {
			g.emit("ALTER TABLE %s ALTER %s DROP DEFAULT, ALTER %s TYPE text", m.name, name, name)
			c.kind = "text"
			return
		}
		g.emit("ALTER TABLE %s ALTER %s TYPE numeric(12,1)", m.name, name)
		c.kind = "numeric"
	case "text":
		g.emit("ALTER TABLE %s ALTER %s DROP DEFAULT, ALTER %s TYPE bigint USING length(%s) + %s", m.name, name, name, name, g.expr(m, "int", 1))
		c.kind = "int"
	case "numeric":
		g.emit("ALTER TABLE %s ALTER %s TYPE numeric(14,0)", m.name, name)
	}
}

func (g *generator) rename(m *model) {
	if c := g.column(m); c != nil {
		name := g.fresh("r")
		g.emit("ALTER TABLE %s RENAME %s TO %s", m.name, pg.Ident(c.name), name)
		c.name = name
	}
}

func (g *generator) drop(m *model) {
	if len(m.columns) < 5 {
		return
	}
	i := 1 + g.IntN(len(m.columns)-1)
	g.emit("ALTER TABLE %s DROP %s", m.name, pg.Ident(m.columns[i].name))
	m.columns = append(m.columns[:i:i], m.columns[i+1:]...)
}

func (g *generator) remove(m *model) {
	g.emit("DELETE FROM %s WHERE %s AND id %% 5 = %d", m.name, g.expr(m, "boolean", 2), g.IntN(5))
}

// split makes a new table out of another one.
func (g *generator) split(m *model) {
	n := &model{name: g.fresh("t"), columns: []modelColumn{{"id", "key"}, {"v", "text"}, {"w", "int"}, {"x", "numeric"}}}
	g.emit("CREATE TABLE %s (id int, v text, w bigint DEFAULT 3, x numeric(10,3))", n.name)
	g.emit("INSERT INTO %s (x, id, v) SELECT %s, id, %s FROM %s WHERE %s", n.name, g.expr(m, "numeric", 2), g.expr(m, "text", 2), m.name, g.expr(m, "boolean", 2))
	g.tables = append(g.tables, n)
}

func (g *generator) columnOf(m *model, kind string) string {
	var names []string
	for _, c := range m.columns {
		if c.kind == kind || kind == "int" && c.kind == "key" {
			names = append(names, pg.Ident(c.name))
		}
	}
	if len(names) == 0 {
		return map[string]string{"int": "5", "text": "'k'", "numeric": "2.5", "boolean": "false"}[kind]
	}
	return g.pick(names...)
}

// expr makes an expression that cannot fail: numbers stay small.
func (g *generator) expr(m *model, kind string, depth int) string {
	if depth == 0 || g.IntN(5) == 0 {
		if g.IntN(4) == 0 {
			return map[string]string{"int": "-4", "text": "'l'", "numeric": "-0.25", "boolean": "true"}[kind]
		}
		return g.columnOf(m, kind)
	}
	sub := func(kind string) string { return g.expr(m, kind, depth-1) }
	switch kind {
	case "int":
		return g.pick("("+sub("int")+" + "+sub("int")+") % 1000", sub("int")+" % 100 - "+sub("int")+" % 100", "length("+sub("text")+")", "coalesce("+sub("int")+", 3)",
			"CASE WHEN "+sub("boolean")+" THEN "+sub("int")+" ELSE "+sub("int")+" END", "- ("+sub("int")+")", "nullif("+sub("int")+", 2)", "abs("+sub("int")+")")
	case "text":
		return g.pick("left("+sub("text")+" || "+sub("text")+", 20)", "upper("+sub("text")+")", "left(("+sub("int")+")::text, 9)", "coalesce("+sub("text")+", 'z')",
			"CASE WHEN "+sub("boolean")+" THEN "+sub("text")+" END", "substring("+sub("text")+" from 2 for 3)", "trim(both 's' from "+sub("text")+")")
	case "numeric":
		return g.pick("("+sub("numeric")+" + "+sub("int")+") % 500", "round("+sub("numeric")+", 1)", "("+sub("int")+")::numeric(12,1) % 100", "greatest("+sub("numeric")+", 1.5)")
	}
	return g.pick("NOT ("+sub("boolean")+")", "coalesce("+sub("boolean")+", false)", "("+sub("boolean")+" AND "+sub("boolean")+")", "("+sub("boolean")+" OR "+sub("boolean")+")",
		"coalesce("+sub("int")+" > "+sub("int")+", true)", "("+sub("text")+") IS NULL", "("+sub("numeric")+") IS DISTINCT FROM 1.5", "coalesce("+sub("text")+" LIKE '%1', false)",
		"coalesce("+sub("int")+" BETWEEN 1 AND 9, false)", "coalesce("+sub("int")+" IN (1, 2, 3), false)")
}
