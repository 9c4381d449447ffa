package transforms

import (
	"fmt"
	"slices"
	"sort"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// finish reads the outcome off the final structure.
func (in *inference) finish() Inference {
	out := Inference{Tables: map[uint32]TableFeed{}}
	in.partitions()
	for _, final := range in.after.Tables {
		t := in.tables[final.OID]
		if t == nil || final.PartitionOf != 0 || final.Kind != "r" && final.Kind != "p" {
			continue
		}
		in.gather(final, t)
		in.report(final, t)
		switch {
		case t.source != 0:
			out.Tables[final.OID] = in.feedOf(final, t)
		case t.emptied:
			out.Tables[final.OID] = TableFeed{Source: final.OID, Empty: true, Carried: t.carried}
		}
	}
	out.Notices, out.Orphans, out.Deferred = in.notices, in.questions, in.deferred
	return out
}

// gather lets the root of a partition tree stand for rows that its members
// brought along: one table of production that was attached.
func (in *inference) gather(root *catalog.Table, t *table) {
	if root.Kind != "p" {
		return
	}
	var members []*table
	for _, m := range in.after.Tables {
		member := in.tables[m.OID]
		if m.PartitionOf != root.OID || member == nil || member.memberOf == root.OID {
			continue
		}
		t.tainted = join(t.tainted, member.tainted)
		t.warned = join(t.warned, member.warned)
		t.carried = t.carried || member.carried
		if member.source != 0 {
			members = append(members, member)
		}
	}
	switch {
	case len(members) == 0:
	case len(members) == 1 && t.source == 0 && !t.carried:
		t.source, t.where, t.functions, t.under = members[0].source, members[0].where, members[0].functions, members[0].under
		for _, c := range root.Columns {
			if from := members[0].last.Column(c.Name); from != nil {
				t.columns[c.Num] = members[0].columns[from.Num]
			}
		}
	default:
		t.tainted = join(t.tainted, []int{in.newTaint("", "its partitions hold rows of several origins")})
	}
}

// partitions reports members of production's partition trees that left them,
// once for a tree.
func (in *inference) partitions() {
	left := map[uint32][]string{}
	for _, b := range in.before.Tables {
		if b.PartitionOf == 0 || !b.IsLeaf {
			continue
		}
		a, root := in.after.ByOID(b.OID), in.after.ByOID(b.PartitionOf)
		what := "was dropped"
		if a != nil {
			what = "was detached or moved"
		}
		if a != nil && a.PartitionOf == b.PartitionOf || a == nil && root == nil || in.tables[b.PartitionOf].emptied {
			continue
		}
		final := a
		if root != nil {
			final = root
		}
		left[final.OID] = append(left[final.OID], b.Name.Name)
		if len(left[final.OID]) > 1 {
			continue
		}
		in.notices = append(in.notices, syntax.Notice{Level: syntax.Blocker, Code: CodePartition, Object: final.Name.String(), Table: final.OID, Opaque: true,
			Message: fmt.Sprintf("partition %s %s: which rows of production that leaves cannot be inferred", b.Name, what),
			Fix:     fmt.Sprintf("write the rows that remain in the plan file: tables: {%s: {where: <condition>}}, or detach and drop partitions before or after the run", final.Name)})
	}
	for i, n := range in.notices {
		if names := left[n.Table]; n.Code == CodePartition {
			in.notices[i].Where = in.naming(names[0])
			if len(names) > 1 {
				in.notices[i].Message += fmt.Sprintf("; so did %d others of this table", len(names)-1)
			}
		}
	}
}

// report makes notices of what reached the table.
func (in *inference) report(final *catalog.Table, t *table) {
	for _, i := range t.tainted {
		in.note(syntax.Blocker, i, final, t, nil)
	}
	for _, i := range t.warned {
		in.note(syntax.Warning, i, final, t, nil)
	}
}

func (in *inference) note(level string, i int, final *catalog.Table, t *table, c *catalog.Column) {
	b := in.taints[i]
	n := syntax.Notice{Level: level, Code: b.code, Object: final.Name.String(), Where: b.where, Message: b.text, Table: final.OID, Opaque: true}
	if c != nil {
		n.Object += "." + c.Name
		n.Columns = []int16{c.Num}
	}
	n.Fix = in.wayOut(final, t, c, b)
	if level == syntax.Warning {
		n.Fix = "nothing to do if that is wanted; otherwise write the columns in the plan file under tables"
	}
	in.notices = append(in.notices, n)
}

// wayOut is what to write in the plan file, under the name that it knows the
// table by: production's, unless another table was made of its rows.
func (in *inference) wayOut(final *catalog.Table, t *table, c *catalog.Column, b taint) string {
	source := in.before.ByOID(t.source)
	if source == nil {
		return fmt.Sprintf("write its rows in the plan file: tables: {%s: {from: SELECT …, key: {<table of production>: {<its column>: <column of %s>}}}}", final.Name, final.Name.Name)
	}
	name := final.Name
	if source.OID == final.OID {
		name = source.Name
	}
	switch {
	case b.others:
		return fmt.Sprintf("other rows count too, so derive the whole table in the plan file: tables: {%s: {from: SELECT <each column of %s> FROM %s JOIN …, "+
			"key: {%[3]s: {<its column>: <column of %[2]s>}, <each other table that is read>: {<its column>: <column of %[2]s>}}}}", name, final.Name.Name, source.Name)
	case c != nil:
		return fmt.Sprintf("write its value in the plan file: tables: {%s: {columns: {%s: <expression over a row of %s>}}}", name, c.Name, source.Name)
	}
	return fmt.Sprintf("write its rows in the plan file: tables: {%s: {where: <which rows of %s remain>, columns: {…}}}, or the whole table with from:", name, source.Name)
}

func (in *inference) feedOf(final *catalog.Table, t *table) TableFeed {
	feed := TableFeed{Source: t.source, Columns: map[int16]Expr{}, Carried: t.carried, Functions: t.functions}
	if condition := ast.And(t.where); condition != nil {
		text, r := in.render(condition)
		if r != nil {
			in.note(syntax.Blocker, in.newTaint("", "which rows it keeps: "+r.text), final, t, nil)
		}
		feed.Where, feed.Settings, feed.Looks = text, t.under.settings(), aliasForm.MatchString(text)
	}
	columns := slices.Clone(final.Columns)
	sort.Slice(columns, func(i, j int) bool { return columns[i].Num < columns[j].Num })
	for i := range columns {
		c := &columns[i]
		e, tainted := in.exprOf(c, t.columns[c.Num])
		if tainted == nil {
			feed.Columns[c.Num] = e
		}
		for _, b := range tainted {
			in.note(syntax.Blocker, b, final, t, c)
		}
	}
	texts := []string{feed.Where}
	for _, c := range columns {
		texts = append(texts, feed.Columns[c.Num].SQL)
	}
	var r *reason
	if feed.Lookups, r = in.lookupsOf(texts...); r != nil {
		in.note(syntax.Blocker, in.newTaint("", r.text), final, t, nil)
	}
	return feed
}

// exprOf is a column's final expression, or who is to blame that there is none.
func (in *inference) exprOf(c *catalog.Column, v *value) (Expr, []int) {
	switch {
	case c.Generated != "":
		return Expr{Origin: Default, Generated: true}, nil
	case v == nil:
		return Expr{}, []int{in.newTaint("", "what existing rows hold in this column cannot be told")}
	case v.tainted != nil:
		return Expr{}, v.tainted
	case v.volatile:
		if !in.makesAgain(c, v) {
			return Expr{}, []int{in.newTaint(v.where, "its values are new in each run (random, sequence), and the column has no default in the end that makes such")}
		}
		return Expr{Origin: v.origin, Volatile: true}, nil
	}
	text, r := in.render(v.node)
	if r != nil {
		return Expr{}, in.taintFor(r, "", "the value")
	}
	return Expr{SQL: text, Origin: v.origin, Functions: v.functions, Settings: v.under.settings(), Looks: aliasForm.MatchString(text)}, nil
}

// makesAgain reports whether the column's own default makes values like those
// that the migrations made.
func (in *inference) makesAgain(c *catalog.Column, v *value) bool {
	if c.Identity != "" {
		return v.made == nil
	}
	if c.Default == "" {
		return false
	}
	tree, r := in.parse("SELECT " + c.Default)
	if r != nil {
		return false
	}
	def := ast.Target(tree)
	if v.made != nil {
		return sameCall(def, v.made)
	}
	_, r = (&scope{in: in, mark: &syntax.Seen{}}).expr(def)
	return r != nil && r.volatile
}

// sameCall compares calls without arguments, casts and qualifications aside.
func sameCall(a, b *pgq.Node) bool {
	a, b = ast.Uncast(a), ast.Uncast(b)
	x, y := a.GetFuncCall(), b.GetFuncCall()
	if x == nil || y == nil || ast.Last(ast.Strings(x.GetFuncname())) != ast.Last(ast.Strings(y.GetFuncname())) || len(x.GetArgs()) != len(y.GetArgs()) {
		return false
	}
	for i := range x.GetArgs() {
		if !ast.Same(ast.Uncast(x.GetArgs()[i]), ast.Uncast(y.GetArgs()[i])) && !sameCall(x.GetArgs()[i], y.GetArgs()[i]) {
			return false
		}
	}
	return true
}
