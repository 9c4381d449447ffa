package transforms

import (
	"regexp"
	"slices"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// table is what is known of a table's rows at some moment of the migrations.
type table struct {
	oid  uint32
	last *syntax.Relation // as last seen
	// source is the production table that its rows come from; 0: none of its
	// rows is production's.
	source uint32
	// memberOf is the root of production's partition tree it belonged to: the
	// root stands for its rows.
	memberOf  uint32
	columns   map[int16]*value // only where source is set
	where     []*pgq.Node      // over the source's row, all must be true
	functions []uint32         // that where calls
	under     under            // of where
	carried   bool             // holds rows that the migrations made up
	emptied   bool             // production's rows were taken away
	tainted   []int            // which rows there are cannot be told
	warned    []int
}

// live reports whether production has rows that this table now holds.
func (t *table) live() bool { return t.source != 0 || t.memberOf != 0 && !t.emptied }

// value is what a column holds, as an expression over the source's row.
type value struct {
	node   *pgq.Node
	origin Origin
	typ    syntax.Type // of the column
	// cast: node is of another type, the column's assignment is still to come.
	cast      bool
	generated bool
	volatile  bool
	made      *pgq.Node // volatile by a statement: what made it
	where     string    // volatile: file and line
	filled    bool      // volatile, but never NULL
	functions []uint32
	under     under
	tainted   []int
}

func taintValue(typ syntax.Type, tainted []int) *value { return &value{typ: typ, tainted: tainted} }

func nullValue(typ syntax.Type, origin Origin) *value {
	return &value{node: ast.Null(), origin: origin, typ: typ, cast: true}
}

// constant is a literal in the column's own text format.
func constant(text string, typ syntax.Type) *value {
	return &value{node: ast.String(text), origin: Default, typ: typ, cast: true}
}

// join adds what a list lacks.
func join[T comparable](a, b []T) []T {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

var modifier = regexp.MustCompile(`\([^()"]*\)`)

func sameType(a, b syntax.Type) bool {
	return a.OID == b.OID && modifier.FindString(a.Name) == modifier.FindString(b.Name)
}

// absorption is the circumstances under which a table's structure is compared
// with what was known.
type absorption struct {
	where  string
	hints  map[string]*pgq.ColumnDef // columns that this statement adds
	marked bool                      // right after a statement that is followed: changes are its own
	own    bool                      // right after code: what it changed is seen here
}

// merge takes over what a mark shows: new tables, new columns with the value
// that existing rows got, changed types.
func (in *inference) merge(s *syntax.Seen, a absorption) {
	for i := range s.Relations {
		r := &s.Relations[i]
		if r.Kind != "r" && r.Kind != "p" {
			continue
		}
		t := in.tables[r.OID]
		if t == nil {
			in.tables[r.OID] = &table{oid: r.OID, last: r, columns: map[int16]*value{}}
			continue
		}
		if t.source != 0 {
			for _, c := range r.Columns {
				in.mergeColumn(s, t, c, a)
			}
		}
		t.last = r
	}
}

func (in *inference) mergeColumn(s *syntax.Seen, t *table, c syntax.Column, a absorption) {
	v := t.columns[c.Num]
	switch {
	case v == nil:
		t.columns[c.Num] = in.added(s, c, a)
	case v.generated && c.Generated == "": // DROP EXPRESSION: the values stay
		old := t.last.ColumnNum(c.Num)
		t.columns[c.Num] = in.fixed(s, t, old)
	case !sameType(v.typ, c.Type):
		in.retype(s, v, c.Type, a)
	default:
		v.typ = c.Type // perhaps renamed
	}
}

// fixed is a generated column's value as one that is stored from now on.
func (in *inference) fixed(s *syntax.Seen, t *table, c *syntax.Column) *value {
	scope := &scope{in: in, mark: s, rel: t.last, tab: t}
	node, r := scope.generated(c)
	if r != nil {
		return taintValue(c.Type, in.taintFor(r, "", "a generated column became a plain one"))
	}
	u, r := scope.computed(node)
	if r != nil {
		return taintValue(c.Type, in.taintFor(r, "", "a generated column became a plain one"))
	}
	return &value{node: node, origin: Backfill, typ: c.Type, cast: true, functions: scope.functions, under: u}
}

// retype is ALTER COLUMN TYPE without USING: an assignment. One that came
// before it must be made explicit.
func (in *inference) retype(s *syntax.Seen, v *value, typ syntax.Type, a absorption) {
	u, r := v.under.with(underOf(s))
	if r != nil && !v.generated && !v.volatile && v.tainted == nil {
		*v = *taintValue(typ, in.taintFor(r, a.where, "ALTER COLUMN TYPE"))
		return
	}
	v.under = u
	switch {
	case v.generated || v.volatile || v.tainted != nil:
	case !a.marked && in.retyper(a) != "":
		*v = *taintValue(typ, []int{in.newTaint(in.retyper(a), "its type is changed by code that is not followed, perhaps with USING")})
	case v.cast:
		node, r := in.castTo(v.node, v.typ)
		if r != nil {
			*v = *taintValue(typ, in.taintFor(r, a.where, "ALTER COLUMN TYPE"))
			return
		}
		v.node = node
	default:
		node, r := in.embed(v)
		if r != nil {
			*v = *taintValue(typ, in.taintFor(r, a.where, "ALTER COLUMN TYPE"))
			return
		}
		v.node, v.cast = node, true
	}
	v.typ = typ
}

// retyper is where the code stands that may have changed a type with USING;
// empty: none. What is seen right after some code it did itself.
func (in *inference) retyper(a absorption) string {
	switch {
	case slices.Contains(in.using, a.where):
		return a.where
	case a.own || len(in.using) == 0:
		return ""
	}
	return in.using[len(in.using)-1]
}

// usingWords are those of ALTER COLUMN … TYPE … USING.
var usingWords = regexp.MustCompile(`(?is)\btype\b.*\busing\b`)

// added is the value that ADD COLUMN gave existing rows. A default set later
// does not count.
func (in *inference) added(s *syntax.Seen, c syntax.Column, a absorption) *value {
	hint := a.hints[c.Name]
	if r := in.altered(c.Type); r != nil && (c.Missing != nil || c.Default != "" || c.DomainDefault != "") {
		return taintValue(c.Type, in.taintFor(r, a.where, "the default"))
	}
	switch {
	case c.Generated != "":
		return &value{typ: c.Type, origin: Default, generated: true}
	case c.Missing != nil:
		return constant(*c.Missing, c.Type)
	case c.Identity != "" || hint != nil && isSerial(hint):
		return &value{typ: c.Type, origin: Default, volatile: true, filled: true, where: a.where}
	case hint != nil:
		if def := defaultOf(hint); def != nil {
			return in.made(s, def, c, a.where)
		}
		if c.DomainDefault != "" {
			return in.defaultValue(s, c.DomainDefault, c, a.where)
		}
		return nullValue(c.Type, Default)
	case c.Default == "" && c.DomainDefault == "":
		return nullValue(c.Type, Default)
	}
	return taintValue(c.Type, []int{in.newTaint(a.where,
		"the column was added by code that is not followed: whether its default was given to existing rows cannot be told")})
}

// defaultValue is what a default's text gives a row.
func (in *inference) defaultValue(s *syntax.Seen, text string, c syntax.Column, where string) *value {
	tree, r := in.parse("SELECT " + text)
	if r != nil {
		return taintValue(c.Type, in.taintFor(r, where, "default"))
	}
	return in.made(s, ast.Target(tree), c, where)
}

// made is the value of a default expression.
func (in *inference) made(s *syntax.Seen, def *pgq.Node, c syntax.Column, where string) *value {
	scope := &scope{in: in, mark: s}
	node, r := scope.expr(def)
	u := under("")
	if r == nil {
		u, r = scope.computed(node)
	}
	switch {
	case r == nil:
		return &value{node: node, origin: Default, typ: c.Type, cast: true, functions: scope.functions, under: u}
	case r.volatile:
		return &value{typ: c.Type, origin: Default, volatile: true, filled: neverNull(def), where: where}
	}
	return taintValue(c.Type, in.taintFor(r, where, "the default"))
}

// hints are the columns that an ALTER TABLE adds, by name.
func hints(n *pgq.Node) map[string]*pgq.ColumnDef {
	out := map[string]*pgq.ColumnDef{}
	for _, c := range n.GetAlterTableStmt().GetCmds() {
		if cmd := c.GetAlterTableCmd(); cmd.GetSubtype() == pgq.AlterTableType_AT_AddColumn {
			out[cmd.GetDef().GetColumnDef().GetColname()] = cmd.GetDef().GetColumnDef()
		}
	}
	return out
}

func defaultOf(d *pgq.ColumnDef) *pgq.Node {
	for _, c := range d.GetConstraints() {
		if c.GetConstraint().GetContype() == pgq.ConstrType_CONSTR_DEFAULT {
			return c.GetConstraint().GetRawExpr()
		}
	}
	return nil
}

func isSerial(d *pgq.ColumnDef) bool {
	switch ast.Last(ast.Strings(d.GetTypeName().GetNames())) {
	case "serial", "bigserial", "smallserial", "serial2", "serial4", "serial8":
		return true
	}
	return false
}
