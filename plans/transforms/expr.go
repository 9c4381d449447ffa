package transforms

import (
	"errors"
	"strconv"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// scope is where an expression of a migration is read: the one table whose
// columns it may use, and what names meant at that moment. A method is for a kind of node
// of PostgreSQL's syntax tree: there are as many as it has.
type scope struct {
	in      *inference
	mark    *syntax.Seen
	rel     *syntax.Relation // names at that moment; nil: no columns
	tab     *table
	alias   string   // hides the table's own name
	level   *level   // of the query around the expression; nil: none
	lefts   []*level // tables of LEFT JOIN
	queries []query
	// aggregates may stand here; aggregated: one does.
	aggregates, aggregated bool
	functions              []uint32
	unders                 []under     // of the values that were read
	known                  []*pgq.Node // not NULL, by conditions beside
	depth                  int
}

// stop carries a reason through rewrite.
type stop struct{ reason *reason }

func (s stop) Error() string { return s.reason.text }

// expr is an expression over the source's row.
func (s *scope) expr(n *pgq.Node) (*pgq.Node, *reason) {
	if s.depth > 50 {
		return nil, unsupported("it is nested too deeply")
	}
	if s.depth == 0 {
		if r := s.ordersPassing(n); r != nil {
			return nil, r
		}
	}
	s.depth++
	defer func() { s.depth-- }()
	out, err := ast.Rewrite(ast.Clone(n), s.replace)
	if stopped := (stop{}); errors.As(err, &stopped) {
		return nil, stopped.reason
	}
	return out, nil
}

func (s *scope) replace(n *pgq.Node) (*pgq.Node, error) {
	var out *pgq.Node
	var r *reason
	switch x := n.GetNode().(type) {
	case *pgq.Node_ColumnRef:
		out, r = s.columnRef(x.ColumnRef)
	case *pgq.Node_FuncCall:
		out, r = s.call(n, x.FuncCall)
	case *pgq.Node_TypeCast:
		out, r = s.typeCast(x.TypeCast)
	case *pgq.Node_SqlvalueFunction:
		out, r = s.sqlValue(x.SqlvalueFunction)
	case *pgq.Node_SubLink:
		out, r = s.subLink(x.SubLink)
	case *pgq.Node_NullTest:
		out = s.nullTest(x.NullTest)
	case *pgq.Node_AExpr:
		out = s.firstOrLater(x.AExpr)
	case *pgq.Node_ParamRef, *pgq.Node_CurrentOfExpr, *pgq.Node_GroupingFunc, *pgq.Node_MultiAssignRef, *pgq.Node_SetToDefault:
		r = unsupported("it is no expression over one row")
	}
	if r != nil {
		return nil, stop{r}
	}
	return out, nil
}

func (s *scope) columnRef(c *pgq.ColumnRef) (*pgq.Node, *reason) {
	fields := ast.Strings(c.GetFields())
	if s.rel == nil {
		return nil, unsupported("it refers to %s", strings.Join(fields, "."))
	}
	name := ast.Last(fields)
	star := c.GetFields()[len(c.GetFields())-1].GetAStar() != nil
	if s.joins() && !star {
		if node, found, r := s.levelColumn(fields); found {
			return node, r
		}
	}
	if star || !s.names(fields[:len(fields)-1]) {
		return nil, unsupported("it refers to a whole row (%s)", strings.Join(fields, "."))
	}
	col := s.rel.Column(name)
	if col == nil {
		return nil, unsupported("%s is not a column of %s", name, s.rel.Name)
	}
	node, r := s.column(col)
	if r != nil || s.level == nil {
		return node, r
	}
	return s.qualified(node), nil
}

// nullTest answers IS NULL of a column whose values are new in each run, but never
// NULL; nil: of another one.
func (s *scope) nullTest(t *pgq.NullTest) *pgq.Node {
	fields := ast.Strings(t.GetArg().GetColumnRef().GetFields())
	if len(fields) == 0 || s.rel == nil || s.joins() || !s.names(fields[:len(fields)-1]) {
		return nil
	}
	c := s.rel.Column(ast.Last(fields))
	if c == nil || s.tab.columns[c.Num] == nil || !s.tab.columns[c.Num].filled {
		return nil
	}
	return ast.Bool(t.GetNulltesttype() == pgq.NullTestType_IS_NOT_NULL)
}

// neverNull are calls without arguments, or of a sequence, that make a value each time.
func neverNull(n *pgq.Node) bool {
	switch ast.Last(ast.Strings(ast.Uncast(n).GetFuncCall().GetFuncname())) {
	case "gen_random_uuid", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "nextval", "random", "clock_timestamp":
		return true
	}
	return false
}

// names reports whether a qualification means the scope's table.
func (s *scope) names(path []string) bool {
	switch {
	case len(path) == 0:
		return true
	case s.alias != "":
		return len(path) == 1 && path[0] == s.alias
	case len(path) == 1:
		return path[0] == s.rel.Name
	}
	return path[len(path)-1] == s.rel.Name && path[len(path)-2] == s.rel.Schema
}

func (s *scope) column(c *syntax.Column) (*pgq.Node, *reason) {
	v := s.tab.columns[c.Num]
	switch {
	case v == nil:
		return nil, unsupported("what %s holds is not known", c.Name)
	case v.tainted != nil:
		return nil, &reason{text: "it reads " + c.Name + ", which cannot be inferred itself", tainted: v.tainted}
	case v.volatile:
		return nil, unsupported("it reads %s, whose values are new in each run", c.Name)
	case v.generated:
		node, r := s.generated(c)
		if r != nil {
			return nil, r
		}
		return s.in.castTo(node, c.Type)
	}
	s.functions = join(s.functions, v.functions)
	s.unders = append(s.unders, v.under)
	node, r := s.in.embed(v)
	switch {
	case r != nil:
		return nil, r
	case v.cast:
		return s.in.padded(node, v.typ)
	case s.in.passing(v.typ):
		return s.in.castTo(node, syntax.Type{Name: "text"})
	}
	return node, nil
}

// padded is a value that an expression reads from a column of character(n) which was
// assigned to it: filled up with blanks, as the column holds it, and as octet_length, LIKE
// and what takes any type see it. It is not cut: see [inference.typeName].
func (in *inference) padded(n *pgq.Node, t syntax.Type) (*pgq.Node, *reason) {
	if t.User || !strings.HasPrefix(t.Name, "character(") {
		return n, nil
	}
	width, err := strconv.ParseInt(strings.Trim(modifier.FindString(t.Name), "()"), 10, 64)
	if err != nil || t.Elem != 0 {
		return nil, unsupported("it reads %s, whose values are filled up with blanks", t.Name)
	}
	bpchar, r := in.parseTypeName("bpchar")
	if r != nil {
		return nil, r
	}
	rpad := []*pgq.Node{pgq.MakeStrNode("pg_catalog"), pgq.MakeStrNode("rpad")}
	return ast.Cast(pgq.MakeFuncCallNode(rpad, []*pgq.Node{n, pgq.MakeAConstIntNode(width, 0)}, 0), bpchar), nil
}

// generated is a generated column's own expression over the row's values now.
func (s *scope) generated(c *syntax.Column) (*pgq.Node, *reason) {
	tree, r := s.in.parse("SELECT " + c.Default)
	if r != nil {
		return nil, r
	}
	inner := &scope{in: s.in, mark: s.mark, rel: s.rel, tab: s.tab, depth: s.depth + 1}
	node, r := inner.expr(ast.Target(tree))
	s.functions = join(s.functions, inner.functions)
	s.unders = append(s.unders, inner.unders...)
	return node, r
}

// embed is a value as an operand: of the column's type, as the shadow has it.
func (in *inference) embed(v *value) (*pgq.Node, *reason) {
	if v.cast {
		return in.castTo(ast.Clone(v.node), v.typ)
	}
	if !in.changed(v.typ) {
		return ast.Clone(v.node), nil
	}
	if r := in.altered(v.typ); r != nil {
		return nil, r
	}
	text, r := in.castTo(ast.Clone(v.node), syntax.Type{Name: "text"})
	if r != nil {
		return nil, r
	}
	return in.castTo(text, v.typ)
}

func (in *inference) changed(t syntax.Type) bool {
	return t.User && in.o.Changed != nil && in.o.Changed(t.Base())
}

func (in *inference) castTo(n *pgq.Node, t syntax.Type) (*pgq.Node, *reason) {
	if in.passing(t) {
		return in.label(n, t)
	}
	name, r := in.typeName(t)
	if r != nil {
		return nil, r
	}
	return castOnce(n, name), nil
}

// castOnce is a value's cast to a type, which it may have already.
func castOnce(n *pgq.Node, t *pgq.TypeName) *pgq.Node {
	if b := truthLiteral(n, t); b != nil {
		return b
	}
	if c := n.GetTypeCast(); c != nil && ast.Same(ast.Cast(nil, c.GetTypeName()), ast.Cast(nil, t)) {
		return n
	}
	return ast.Cast(n, t)
}

// typeName is a column's type for a cast inside an expression. An explicit
// cast to varchar(n) would cut silently what an assignment refuses: so without
// the length; the final assignment still checks it.
func (in *inference) typeName(t syntax.Type) (*pgq.TypeName, *reason) {
	text := t.Name
	switch {
	case !t.User && (strings.HasPrefix(text, "character varying") || strings.HasPrefix(text, "character(")):
		text = strings.Replace(modifier.ReplaceAllString(text, ""), "character", "bpchar", 1)
		text = strings.Replace(text, "bpchar varying", "character varying", 1)
	case t.User && in.o.Type != nil:
		name, ok := in.o.Type(t.Base())
		if !ok {
			return nil, unsupported("type %s is not there while the shadow is built", t.Name)
		}
		text = name + modifier.FindString(t.Name)
		if t.Elem != 0 {
			text += "[]"
		}
	}
	return in.parseTypeName(text)
}

func (in *inference) parseTypeName(text string) (*pgq.TypeName, *reason) {
	if t, ok := in.typeNames[text]; ok {
		return t, nil
	}
	tree, r := in.parse("SELECT NULL::" + text)
	if r != nil {
		return nil, r
	}
	t := ast.Target(tree).GetTypeCast().GetTypeName()
	if t == nil {
		return nil, unsupported("%s is no type", text)
	}
	in.typeNames[text] = t
	return t, nil
}

// truthLiteral is 't'::boolean as true: the deparser writes it so.
func truthLiteral(n *pgq.Node, t *pgq.TypeName) *pgq.Node {
	if ast.Last(ast.Strings(t.GetNames())) != "bool" || t.GetArrayBounds() != nil || n.GetAConst().GetSval() == nil {
		return nil
	}
	switch n.GetAConst().GetSval().GetSval() {
	case "t", "true":
		return ast.Bool(true)
	case "f", "false":
		return ast.Bool(false)
	}
	return nil
}

// typeCast puts the right type's name into the user's own cast.
func (s *scope) typeCast(c *pgq.TypeCast) (*pgq.Node, *reason) {
	if movingTime(c) {
		return nil, unsupported("%q is another time in each run", c.GetArg().GetAConst().GetSval().GetSval())
	}
	arg, r := s.expr(c.GetArg())
	if r != nil {
		return nil, r
	}
	if ref, ok := s.typeMeant(c.GetTypeName()); ok && s.in.passing(ref) && c.GetTypeName().GetArrayBounds() == nil {
		return s.in.label(arg, ref)
	}
	name, r := s.castType(c.GetTypeName())
	if r != nil {
		return nil, r
	}
	return castOnce(arg, name), nil
}

// typeMeant is the user's type that a name meant; not ok: the system's, or not
// known.
func (s *scope) typeMeant(t *pgq.TypeName) (syntax.Type, bool) {
	key := ast.TypeName(t)
	ref, ok := s.mark.Types[key]
	if !ok {
		ref, ok = s.in.types[strings.Join(ast.Strings(t.GetNames()), ".")]
	}
	return ref, key != "" && ok && ref.User
}

func (s *scope) castType(t *pgq.TypeName) (*pgq.TypeName, *reason) {
	if t.GetPctType() {
		return nil, unsupported("a type is taken from a column with %%TYPE")
	}
	ref, ok := s.typeMeant(t)
	if !ok {
		return t, nil
	}
	if t.GetTypmods() != nil && s.in.o.Type == nil {
		return t, nil
	}
	name, r := s.in.typeName(ref)
	if r != nil {
		return nil, r
	}
	name = ast.Clone(ast.Cast(nil, name)).GetTypeCast().GetTypeName()
	name.Typmods = t.GetTypmods()
	if t.GetArrayBounds() != nil {
		name.ArrayBounds = t.GetArrayBounds()
	}
	return name, nil
}

// movingTime: 'now'::timestamptz and its like.
func movingTime(c *pgq.TypeCast) bool {
	switch strings.ToLower(strings.TrimSpace(c.GetArg().GetAConst().GetSval().GetSval())) {
	case "now", "today", "tomorrow", "yesterday":
		name := ast.Last(ast.Strings(c.GetTypeName().GetNames()))
		return strings.HasPrefix(name, "time") || name == "date"
	}
	return false
}

// now is the run's one value of now().
func (s *scope) now() (*pgq.Node, *reason) {
	text := s.in.o.Now.UTC().Format("2006-01-02 15:04:05.999999") + "+00"
	return s.in.castTo(ast.String(text), syntax.Type{Name: "timestamp with time zone"})
}

func (s *scope) sqlValue(f *pgq.SQLValueFunction) (*pgq.Node, *reason) {
	types := map[pgq.SQLValueFunctionOp]string{
		pgq.SQLValueFunctionOp_SVFOP_CURRENT_DATE:        "date",
		pgq.SQLValueFunctionOp_SVFOP_CURRENT_TIME:        "time with time zone",
		pgq.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:      "time with time zone",
		pgq.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:   "timestamp with time zone",
		pgq.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N: "timestamp with time zone",
		pgq.SQLValueFunctionOp_SVFOP_LOCALTIME:           "time without time zone",
		pgq.SQLValueFunctionOp_SVFOP_LOCALTIME_N:         "time without time zone",
		pgq.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:      "timestamp without time zone",
		pgq.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:    "timestamp without time zone",
	}
	name, ok := types[f.GetOp()]
	if !ok {
		return nil, unsupported("it depends on the session's user or schema")
	}
	now, r := s.now()
	if r != nil || f.GetOp() == pgq.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP {
		return now, r
	}
	if f.GetTypmod() >= 0 {
		kind, rest, _ := strings.Cut(name, " ")
		name = kind + "(" + strconv.Itoa(int(f.GetTypmod())) + ") " + rest
	}
	return s.in.castTo(now, syntax.Type{Name: name})
}
