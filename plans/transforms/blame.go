package transforms

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// taint is a statement whose effect cannot be followed. It becomes a notice
// for each part of the final structure that its effect reaches.
type taint struct {
	code, where, text string
	others            bool // see [reason]
}

func (in *inference) newTaint(where, text string) int {
	return in.taintAs(taint{code: CodeBackfill, where: where, text: text})
}

func (in *inference) taintAs(b taint) int {
	if i := slices.Index(in.taints, b); i >= 0 {
		return i
	}
	in.taints = append(in.taints, b)
	return len(in.taints) - 1
}

// taintFor turns a reason into blames: those that it comes from, else a new one.
func (in *inference) taintFor(r *reason, where, what string) []int {
	if r.tainted != nil {
		return r.tainted
	}
	return []int{in.taintAs(taint{code: CodeBackfill, where: where, text: what + " cannot be followed: " + r.text, others: r.others})}
}

// taintAlways reports a statement whose targets are not known.
func (in *inference) taintAlways(f syntax.Fact, text string) {
	in.notices = append(in.notices, syntax.Notice{Level: syntax.Blocker, Code: CodeBackfill, Object: syntax.OneLine(shorten(f.SQL)), Where: where(f), Opaque: true,
		Message: text, Fix: "move its data changes to plain UPDATE, DELETE or INSERT … SELECT statements over one table, or write what they do in the plan file under tables"})
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return s
}

// taintStatement blames everything that the step's statement writes.
func (s *step) taintStatement(r *reason) {
	var c syntax.Code
	c.Add(s.node)
	s.followCalls(&c, map[uint32]bool{})
	s.taintCode(c, r)
}

// taintCode blames everything that code writes.
func (s *step) taintCode(c syntax.Code, r *reason) {
	tainted := s.taintFor(r, where(s.fact), verb(s.node))
	reads := r.live || c.Unknown || c.Dynamic || s.readsProduction(c) || s.decides(c) != nil
	found := false
	for _, w := range c.Writes {
		found = s.taintWrite(w, tainted, reads) || found
	}
	if c.Dynamic {
		found = s.taintDynamic(c, tainted) || found
	}
	if !found {
		s.taintAlways(s.fact, s.taints[tainted[0]].text)
	}
}

// taintWrite blames what one statement writes. False: it is not known which
// table that is.
func (s *step) taintWrite(w syntax.Write, tainted []int, reads bool) bool {
	tables := s.resolve(w.Table)
	for _, t := range tables {
		s.taintTable(t, w, tainted, reads)
	}
	return len(tables) > 0 || s.absent(w.Table)
}

// absent: there is no such table before or after the statement, so nothing of
// it is left.
func (s *step) absent(r *pgq.RangeVar) bool {
	name := ast.TableName(r)
	_, before := s.before.Tables[name]
	_, after := s.after.Tables[name]
	return s.fact.Marked && !before && !after && slices.Contains(s.fact.Names.Tables, name)
}

func (s *step) taintTable(t *table, w syntax.Write, tainted []int, reads bool) {
	if t.memberOf != 0 && t.source == 0 && !t.emptied {
		if root := s.tables[t.memberOf]; root != nil {
			t = root
		}
	}
	switch {
	case t.source == 0 && !reads: // made of what the migrations hold
		t.carried = true
	case t.source == 0 || w.Kind != syntax.Update || w.Columns == nil:
		t.tainted = join(t.tainted, tainted)
	default:
		s.taintColumns(t, w.Columns, tainted)
	}
}

func (s *step) taintColumns(t *table, names []string, tainted []int) {
	for _, name := range names {
		if c := t.last.Column(name); c != nil {
			t.columns[c.Num] = taintValue(c.Type, tainted)
		} else {
			t.tainted = join(t.tainted, tainted)
		}
	}
}

// taintDynamic blames tables that code written at run time may change: those
// it was seen to lock for writing, else all that its text names.
func (s *step) taintDynamic(c syntax.Code, tainted []int) bool {
	found := false
	words := wordSet(c.Text)
	for _, t := range s.tables {
		locked := slices.Contains(s.after.Written, t.oid) && !slices.Contains(s.before.Written, t.oid)
		if locked || t.last != nil && words[strings.ToLower(t.last.Name)] && s.exists(t) {
			s.taintTable(t, syntax.Write{Kind: syntax.Opaque}, tainted, true)
			found = true
		}
	}
	return found
}

// exists: still there at the end, or of use to something that is.
func (s *step) exists(t *table) bool { return s.inference.after.ByOID(t.oid) != nil }

var word = regexp.MustCompile(`[\pL_][\pL\pN_$]*`)

func wordSet(text string) map[string]bool {
	out := map[string]bool{}
	for _, w := range word.FindAllString(strings.ToLower(text), -1) {
		out[w] = true
	}
	return out
}

// resolve finds the tables that a name meant, with those that inherit from it.
// Without a mark of that name: all known tables of that name.
func (s *step) resolve(r *pgq.RangeVar) []*table {
	for _, marked := range []*syntax.Seen{s.before, s.after} {
		oid, ok := marked.Tables[ast.TableName(r)]
		if !ok {
			continue
		}
		if rel := marked.Relation(oid); rel != nil && rel.Kind == "v" {
			return s.lockedTables()
		}
		return s.family(marked, oid, r.GetInh())
	}
	if s.before.Tables != nil && slices.Contains(s.fact.Names.Tables, ast.TableName(r)) {
		return nil // it was looked for: a CTE, or gone
	}
	var out []*table
	for _, t := range s.tables {
		if t.last != nil && t.last.Name == r.GetRelname() && (r.GetSchemaname() == "" || t.last.Schema == r.GetSchemaname()) {
			out = append(out, t)
		}
	}
	return out
}

// lockedTables are those behind a view that the statement wrote through.
func (s *step) lockedTables() []*table {
	var out []*table
	for _, oid := range s.after.Written {
		if t := s.tables[oid]; t != nil && !slices.Contains(s.before.Written, oid) {
			out = append(out, t)
		}
	}
	return out
}

// family is a table with all that inherit from it; members of production's
// partition trees are left to their root.
func (in *inference) family(s *syntax.Seen, oid uint32, inherit bool) []*table {
	all := map[uint32]bool{oid: true}
	for grown := inherit; grown; {
		grown = false
		for i := range s.Relations {
			r := &s.Relations[i]
			if !all[r.OID] && slices.ContainsFunc(r.Parents, func(p uint32) bool { return all[p] }) {
				all[r.OID], grown = true, true
			}
		}
	}
	var out []*table
	for i := range s.Relations {
		t := in.tables[s.Relations[i].OID]
		if t != nil && all[t.oid] && (t.oid == oid || t.memberOf == 0 || !all[t.memberOf]) {
			out = append(out, t)
		}
	}
	return out
}

// readsProduction reports whether code reads a table that holds production's
// rows.
func (s *step) readsProduction(c syntax.Code) bool {
	return slices.ContainsFunc(c.Reads, func(r *pgq.RangeVar) bool { return s.isLive(r, nil) })
}

// isLive reports whether a name leads to production's rows, in other tables
// than the excepted ones. What a view, a materialized view or a foreign table
// shows is taken for production's.
func (s *step) isLive(r *pgq.RangeVar, except []*table) bool {
	for _, marked := range []*syntax.Seen{s.before, s.after} {
		if rel := marked.Relation(marked.Tables[ast.TableName(r)]); rel != nil && rel.Kind != "r" && rel.Kind != "p" {
			return !ast.SystemSchema(rel.Schema)
		}
	}
	for _, t := range s.resolve(r) {
		if t.live() && !slices.Contains(except, t) {
			return true
		}
	}
	return !slices.Contains(s.fact.Names.Tables, ast.TableName(r)) && s.views[r.GetRelname()] && !ast.SystemSchema(r.GetSchemaname())
}

func verb(n *pgq.Node) string {
	switch x := n.GetNode().(type) {
	case *pgq.Node_UpdateStmt:
		return "UPDATE"
	case *pgq.Node_DeleteStmt:
		return "DELETE"
	case *pgq.Node_InsertStmt:
		return "INSERT"
	case *pgq.Node_TruncateStmt:
		return "TRUNCATE"
	case *pgq.Node_AlterTableStmt:
		return "ALTER TABLE"
	case *pgq.Node_MergeStmt:
		return "MERGE"
	case *pgq.Node_CopyStmt:
		return "COPY"
	case *pgq.Node_DoStmt:
		return "a DO block"
	case *pgq.Node_CallStmt:
		return "CALL"
	case *pgq.Node_ExecuteStmt:
		return "EXECUTE"
	case *pgq.Node_ExplainStmt:
		return "EXPLAIN"
	case *pgq.Node_CreateTableAsStmt:
		return "CREATE TABLE AS"
	case *pgq.Node_SelectStmt:
		if x.SelectStmt.GetIntoClause() != nil {
			return "SELECT INTO"
		}
		return "SELECT"
	}
	return fmt.Sprintf("%T", n.GetNode())
}
