package transforms

import (
	"regexp"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// Rows beside production's cannot be told before the swap: their numbers come from
// sequences, and which of them are there already only production knows. An INSERT whose
// rows depend on nothing else may run in the swap by itself, after everything that
// stands behind it in the migrations, if nothing of that has to do with what it reads and
// writes: see toCome. Then the rows are those that it makes in place.

// Deferral is an INSERT that runs in the swap.
type Deferral struct {
	Place  syntax.Place
	Target uint32   // by oid in scratch
	Reads  []uint32 // the other tables that it names
}

// whyNotDeferred is what keeps an INSERT from running in the swap, as far as it is
// known where it stands.
func (s *step) whyNotDeferred() (d Deferral, why string) {
	in, why := syntax.InsertionOf(s.node)
	if why != "" {
		return d, why
	}
	d = Deferral{Place: s.fact.Place(), Target: s.before.Tables[ast.TableName(in.Target)]}
	rel := s.before.Relation(d.Target)
	switch {
	case rel == nil:
		return d, "which table it writes is not known"
	case !s.alone(rel) || rel.Rules:
		return d, "its table is of a tree, or has rules"
	case s.before.Replica:
		return d, "session_replication_role is set"
	case slices.ContainsFunc(rel.Triggers, func(t syntax.Trigger) bool { return t.Type&triggerInsert != 0 && t.Enabled != "D" }):
		return d, "its table has triggers that it fires"
	}
	for _, r := range in.Reads {
		read := s.before.Relation(s.before.Tables[ast.TableName(r)])
		if read == nil || !s.alone(read) {
			return d, "it reads " + nameOf(r) + ", which is no plain table"
		}
		if read.OID != rel.OID {
			d.Reads = append(d.Reads, read.OID)
		}
	}
	for _, call := range in.Calls {
		if !s.portable(call) {
			return d, "it calls " + ast.Qualified(ast.Strings(call.GetFuncname()))
		}
	}
	if c := s.unportableDefault(rel); c != "" {
		return d, "the default of " + c + " calls a function"
	}
	return d, s.settingsChange()
}

// alone: a plain table that no other one inherits from, and that lasts.
func (s *step) alone(r *syntax.Relation) bool {
	return r.Kind == "r" && !r.Partition && len(r.Parents) == 0 && len(s.family(s.before, r.OID, true)) == 1 && !strings.HasPrefix(r.Schema, "pg_")
}

// portable reports whether a call gives the same in the swap.
func (s *step) portable(call *pgq.FuncCall) bool {
	for _, f := range s.functionsOf(call) {
		if !f.Portable() {
			return false
		}
	}
	path := ast.Strings(call.GetFuncname())
	return len(s.functionsOf(call)) > 0 || syntax.Function{Schema: "pg_catalog", Name: ast.Last(path)}.Portable()
}

// unportableDefault is a column whose default gives something else in the swap than
// where the statement stands. Numbers are drawn there as here.
func (s *step) unportableDefault(rel *syntax.Relation) string {
	for _, c := range rel.Columns {
		for _, text := range []string{c.Default, c.DomainDefault} {
			if text == "" || c.Generated != "" {
				continue
			}
			tree, r := s.parse("SELECT " + text)
			if r != nil {
				return c.Name
			}
			fine := true
			ast.Visit(tree.GetStmts()[0].GetStmt(), func(m proto.Message) bool {
				if call, ok := m.(*pgq.FuncCall); ok {
					fine = fine && (ast.Last(ast.Strings(call.GetFuncname())) == "nextval" || s.portable(call))
				}
				return fine
			})
			if !fine {
				return c.Name
			}
		}
	}
	return ""
}

var (
	settingStatement = regexp.MustCompile(`(?is)^\s*(set|reset|discard)\b|\bset_config\s*\(|^\s*alter\s+(role|user|database)\s.*\bset\b`)
	// Settings that no row depends on.
	idleSetting = regexp.MustCompile(`(?is)^\s*(set\s+(session\s+|local\s+)?|reset\s+)(\w+_timeout|client_min_messages|log_\w+|\w*work_mem|application_name|check_function_bodies)\b`)
)

// settingsChange: in the swap the settings are those in force at the end.
func (in *inference) settingsChange() string {
	for _, p := range in.o.Statements {
		if settingStatement.MatchString(p.SQL) && !idleSetting.MatchString(p.SQL) {
			return "the migrations change settings of the session"
		}
	}
	return ""
}

// deferInsert notes a statement that runs in the swap. It did not run in scratch.
func (s *step) deferInsert() {
	d, why := s.whyNotDeferred()
	if why != "" {
		s.taintStatement(unsupported("%s, so that it cannot wait for the swap either", why))
		return
	}
	insertion, _ := syntax.InsertionOf(s.node)
	s.deferred = append(s.deferred, d)
	s.coming.add(s.inference, s.before.Relation(d.Target), d, insertion)
	s.shapes = append(s.shapes, func() { s.checkShape(s.before.Relation(d.Target)) })
}

// mayDefer notes a statement that is not understood, and might run in the swap.
func (s *step) mayDefer() {
	if d, why := s.whyNotDeferred(); why == "" {
		s.deferrable = append(s.deferrable, d)
	}
}

// afterDeferred: the statement has to do with rows that come in the swap.
func (s *step) afterDeferred() bool {
	waiting := nothingToCome()
	for _, d := range s.deferred {
		waiting.merge(s.coming.of[d.Place])
	}
	return len(s.deferred) > 0 && s.concerns(waiting, s.fact.SQL) != ""
}

// checkShape holds the table as the statement would find it against what it is in the
// end: there must be nothing but further columns, whatever has made them.
func (s *step) checkShape(rel *syntax.Relation) {
	final := s.inference.after.ByOID(rel.OID)
	if final == nil || final.Name.Schema != rel.Schema || final.Name.Name != rel.Name {
		s.taintAlways(s.fact, "INSERT cannot wait for the swap: its table is dropped or goes by another name then")
		return
	}
	for _, c := range rel.Columns {
		now, there := final.Column(c.Num)
		if !there || now.Name != c.Name || now.TypeOID != c.Type.OID || now.Default != c.Default || now.Identity != c.Identity || now.Generated != c.Generated {
			s.taintAlways(s.fact, "INSERT cannot wait for the swap: column "+c.Name+" is another one then")
			return
		}
	}
	if len(s.redefined) > 0 && s.computed(rel.OID) {
		s.taintAlways(s.fact, "INSERT cannot wait for the swap: checks or indexes of its table may call functions that the migrations change")
	}
}

// computed: the table's checks and indexes evaluate expressions.
func (in *inference) computed(table uint32) bool {
	for _, c := range in.after.Constraints {
		if c.Table == table && c.Kind == "c" {
			return true
		}
	}
	for _, i := range in.after.Indexes {
		if i.Table == table && (i.Expression || i.Partial) {
			return true
		}
	}
	return false
}

// checkDeferred looks at each statement that stands behind one which runs in the swap:
// it must have nothing to do with its rows.
func (in *inference) checkDeferred() {
	if len(in.deferred) == 0 {
		return
	}
	waiting, concerned := nothingToCome(), false
	for _, p := range in.o.Statements {
		i := slices.IndexFunc(in.deferred, func(d Deferral) bool { return d.Place == p })
		if i >= 0 {
			waiting.merge(in.coming.of[p])
			continue
		}
		if len(waiting.names()) == 0 {
			continue
		}
		if why := in.concerns(waiting, p.SQL); why != "" {
			concerned = true
			in.taintAlways(syntax.Fact{File: p.File, Line: p.Line, SQL: p.SQL}, "it has to do with rows that come in the swap: "+why)
		}
	}
	if concerned { // by what runs behind the fence then: the plan is made once more
		return
	}
	for _, check := range in.shapes {
		check()
	}
}

// codeConcerns looks at what code was seen to lock: its text need not name it.
func (s *step) codeConcerns() {
	locked := func(now, was []uint32, oid uint32) bool {
		return slices.Contains(now, oid) && !slices.Contains(was, oid)
	}
	for _, d := range s.deferred {
		writes := func(oid uint32) bool { return locked(s.after.Written, s.before.Written, oid) }
		if writes(d.Target) || locked(s.after.Read, s.before.Read, d.Target) || slices.ContainsFunc(d.Reads, writes) ||
			slices.ContainsFunc(s.coming.parents[d.Target], writes) || s.after.Relation(d.Target) != nil {
			s.taintAlways(s.fact, "it has to do with rows that come in the swap, by "+d.Place.File)
			return
		}
	}
}
