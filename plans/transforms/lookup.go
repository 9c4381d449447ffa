package transforms

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// An expression may look rows of other tables up: a subquery over production's
// tables, whose rows go by names of ours. Two things are needed then. Which row
// it finds must not be a matter of order: no two rows fit, by a unique index of
// production's. And it must be known which rows a change of the other table
// concerns: by conditions that compare a column of it with the row's own values,
// or with those of a table that is nearer to the row.

// Changed is the name by which [Lookup.Where] knows old and new values of a row
// that changed.
const Changed = "pgumbra_changed"

// Lookup says that a table's expressions read another one. A change of it there
// concerns the rows for which Where is true: SQL over the row, by the name of
// its production table, over the changed row's Columns, by the name of
// [Changed], and over the tables in From.
type Lookup struct {
	Source  uint32 // oid in scratch before the migrations
	Columns []string
	// Bare are those that are compared as they are, so that an index may serve.
	Bare []string
	// Row are the row's columns in Where.
	Row []string
	// All: constants alone lead to it, so a change concerns all rows or none.
	All   bool
	From  []string // of FROM, each with its alias
	Where string
}

// lookup is how rows of one table in an expression are found.
type lookup struct {
	alias  string
	source uint32
	conds  []*pgq.Node // over it, those in via, and the row
	via    []string    // aliases of the tables between it and the row
}

// aliasForm is that of the names of ours for tables in expressions.
var aliasForm = regexp.MustCompile(`\bpgumbra_l[0-9]+\b`)

func (in *inference) ownAlias() string {
	in.aliases++
	return fmt.Sprintf("pgumbra_l%d", in.aliases)
}

func paramName(n int) string { return fmt.Sprintf("$%d", n) }

// base is the name by which expressions know the row of a source.
func (in *inference) base(source uint32) string {
	if t := in.before.ByOID(source); t != nil {
		return t.Name.Name
	}
	return ""
}

// fromText is a production table in FROM.
func (in *inference) fromText(t *looked) string {
	return in.sourceText(t.table.source) + " AS " + t.alias
}

func (in *inference) sourceText(source uint32) string {
	b := in.before.ByOID(source)
	if b.Kind == "p" {
		return b.Name.Quoted()
	}
	return "ONLY " + b.Name.Quoted()
}

// moved is an expression over a source's row as one over a table of a level.
// Tables that it looks up itself get names of their own.
func (in *inference) moved(n *pgq.Node, t *looked) *pgq.Node {
	n = ast.Clone(n)
	base := in.base(t.table.source)
	renamed := map[string]string{}
	ast.Visit(n, func(m proto.Message) bool {
		if v, ok := m.(*pgq.RangeVar); ok && aliasForm.MatchString(v.GetAlias().GetAliasname()) {
			renamed[v.GetAlias().GetAliasname()] = in.ownAlias()
		}
		return true
	})
	in.rename(n, base, t.alias, renamed)
	for _, old := range slices.Sorted(maps.Keys(renamed)) {
		in.moveLookup(in.lookups[old], base, t.alias, renamed)
	}
	return n
}

// rename leads references to a row, and to the tables that it looks up, to
// other names.
func (in *inference) rename(n *pgq.Node, base, alias string, renamed map[string]string) {
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.RangeVar:
			if name := renamed[m.GetAlias().GetAliasname()]; name != "" {
				m.Alias.Aliasname = name
			}
		case *pgq.ColumnRef:
			fields := ast.Strings(m.GetFields())
			switch {
			case len(fields) == 1:
				m.Fields = []*pgq.Node{pgq.MakeStrNode(alias), pgq.MakeStrNode(fields[0])}
			case fields[0] == base:
				m.Fields[0] = pgq.MakeStrNode(alias)
			case renamed[fields[0]] != "":
				m.Fields[0] = pgq.MakeStrNode(renamed[fields[0]])
			}
		}
		return true
	})
}

func (in *inference) moveLookup(old *lookup, base, alias string, renamed map[string]string) {
	made := &lookup{alias: renamed[old.alias], source: old.source, via: []string{alias}}
	for _, v := range old.via {
		made.via = append(made.via, renamed[v])
	}
	for _, c := range old.conds {
		c = ast.Clone(c)
		in.rename(c, base, alias, renamed)
		made.conds = append(made.conds, c)
	}
	in.lookups[made.alias] = made
}

// qualified are references to the statement's own row, told apart from those to
// tables of a level.
func (s *scope) qualified(n *pgq.Node) *pgq.Node {
	s.in.rename(n, "", s.in.base(s.tab.source), nil)
	return n
}

// bare undoes it outside of subqueries.
func (s *scope) bare(n *pgq.Node) *pgq.Node {
	base := s.in.base(s.tab.source)
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.SubLink:
			return false
		case *pgq.ColumnRef:
			if fields := ast.Strings(m.GetFields()); len(fields) == 2 && fields[0] == base {
				m.Fields = m.Fields[1:]
			}
		}
		return true
	})
	return n
}

// link notes by what each table of a level is found: comparisons with what is
// nearer to the row, or with constants.
func (s *scope) link(l *level) *reason {
	if l.mixed() {
		return ofOthers("it reads tables by what a function returns")
	}
	known := l.known()
	for _, t := range l.tables {
		if in := s.in.lookups[t.alias]; in != nil {
			known[t.alias] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, t := range l.tables {
			if known[t.alias] {
				continue
			}
			if found := s.linkOf(l, t, known); found != nil {
				s.in.lookups[t.alias], known[t.alias], grown = found, true, true
			}
		}
	}
	for _, t := range l.tables {
		if !known[t.alias] {
			return ofOthers("no comparison by = tells which rows a change of %s concerns", t.name)
		}
	}
	return nil
}

func (s *scope) linkOf(l *level, t *looked, known map[string]bool) *lookup {
	found := &lookup{alias: t.alias, source: t.table.source}
	for _, c := range l.conds {
		own, other := s.sides(c, t.alias)
		if own == nil || !refersTo(own, map[string]bool{t.alias: true}) {
			continue
		}
		via := freeIn(other)
		if slices.ContainsFunc(via, func(a string) bool { return !known[a] }) {
			continue
		}
		found.conds = append(found.conds, ast.Clone(c))
		for _, a := range via {
			if !slices.Contains(found.via, a) {
				found.via = append(found.via, a)
			}
		}
	}
	if len(found.conds) == 0 {
		return nil
	}
	return found
}

// sides of a comparison by =: that of the table, and the other one, which does
// not read it.
func (s *scope) sides(c *pgq.Node, alias string) (own, other *pgq.Node) {
	e := c.GetAExpr()
	if e == nil || e.GetKind() != pgq.A_Expr_Kind_AEXPR_OP || !slices.Equal(ast.Strings(e.GetName()), []string{"="}) {
		return nil, nil
	}
	left, right := slices.Contains(aliasesIn(e.GetLexpr()), alias), slices.Contains(aliasesIn(e.GetRexpr()), alias)
	switch {
	case left && !right:
		return e.GetLexpr(), e.GetRexpr()
	case right && !left:
		return e.GetRexpr(), e.GetLexpr()
	}
	return nil, nil
}

// refersTo: all that it reads are columns of these tables.
func refersTo(n *pgq.Node, aliases map[string]bool) bool {
	only := true
	ast.Visit(n, func(m proto.Message) bool {
		switch m := m.(type) {
		case *pgq.SubLink:
			only = false
		case *pgq.ColumnRef:
			only = only && aliases[ast.Strings(m.GetFields())[0]]
		}
		return only
	})
	return only
}

// aliasesIn are the tables of ours that an expression reads.
func aliasesIn(n *pgq.Node) []string {
	var all []string
	ast.Visit(n, func(m proto.Message) bool {
		if c, ok := m.(*pgq.ColumnRef); ok {
			if name := ast.Strings(c.GetFields())[0]; aliasForm.MatchString(name) && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
		return true
	})
	return all
}

// freeIn are those that no query inside the expression brings along: what such a
// query finds is one value for each row around it.
func freeIn(n *pgq.Node) []string {
	all := aliasesIn(n)
	ast.Visit(n, func(m proto.Message) bool {
		if v, ok := m.(*pgq.RangeVar); ok {
			all = slices.DeleteFunc(all, func(a string) bool { return a == v.GetAlias().GetAliasname() })
		}
		return true
	})
	return all
}

func holdsQuery(n *pgq.Node) bool {
	found := false
	ast.Visit(n, func(m proto.Message) bool {
		_, is := m.(*pgq.SubLink)
		found = found || is
		return !found
	})
	return found
}

func qualifiedNode(table, column string) *pgq.Node {
	n := ast.Column(column)
	n.GetColumnRef().Fields = []*pgq.Node{pgq.MakeStrNode(table), pgq.MakeStrNode(column)}
	return n
}

// lookupsOf are those behind the names of ours in finished texts.
func (in *inference) lookupsOf(texts ...string) ([]Lookup, *reason) {
	var out []Lookup
	var done []string
	for _, text := range texts {
		for _, alias := range aliasForm.FindAllString(text, -1) {
			if slices.Contains(done, alias) {
				continue
			}
			done = append(done, alias)
			l, r := in.told(alias)
			if r != nil {
				return nil, r
			}
			if !slices.ContainsFunc(out, l.same) {
				out = append(out, l)
			}
		}
	}
	return out, nil
}

func bareIn(l *lookup) (columns []string) {
	for _, c := range l.conds {
		for _, side := range []*pgq.Node{c.GetAExpr().GetLexpr(), c.GetAExpr().GetRexpr()} {
			if fields := ast.Strings(side.GetColumnRef().GetFields()); len(fields) == 2 && fields[0] == l.alias {
				columns = append(columns, fields[1])
			}
		}
	}
	return columns
}

func (l Lookup) same(o Lookup) bool {
	return l.Source == o.Source && l.Where == o.Where && slices.Equal(l.From, o.From)
}

// told is a lookup as SQL: its own conditions, and those of the tables between it
// and the row.
func (in *inference) told(alias string) (Lookup, *reason) {
	start := in.lookups[alias]
	if start == nil {
		return Lookup{}, ofOthers("by what its rows are found is not known")
	}
	conds, from := []*pgq.Node{}, []string{}
	for todo, seen := []string{alias}, map[string]bool{}; len(todo) > 0; todo = todo[1:] {
		l := in.lookups[todo[0]]
		if l == nil {
			return Lookup{}, ofOthers("by what its rows are found is not known")
		}
		if seen[l.alias] {
			continue
		}
		seen[l.alias] = true
		if l != start {
			from = append(from, in.sourceText(l.source)+" AS "+l.alias)
		}
		conds = append(conds, cloneAll(l.conds)...)
		todo = append(todo, l.via...)
	}
	whole := ast.And(conds)
	out := Lookup{Source: start.source, From: from, Bare: bareIn(start), All: true}
	ast.Visit(whole, func(m proto.Message) bool {
		c, ok := m.(*pgq.ColumnRef)
		if ok && !aliasForm.MatchString(ast.Strings(c.GetFields())[0]) {
			out.All = false
			if name := ast.Last(ast.Strings(c.GetFields())); !slices.Contains(out.Row, name) {
				out.Row = append(out.Row, name)
			}
		}
		if ok && ast.Strings(c.GetFields())[0] == alias {
			c.Fields[0] = pgq.MakeStrNode(Changed)
			if name := ast.Last(ast.Strings(c.GetFields())); !slices.Contains(out.Columns, name) {
				out.Columns = append(out.Columns, name)
			}
		}
		return true
	})
	var r *reason
	out.Where, r = in.render(whole)
	return out, r
}
