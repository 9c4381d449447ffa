package transforms

import (
	"fmt"
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
// writes: see toCome. Then the rows are those that it makes in place. So may an UPDATE or a
// DELETE that is not understood, or has to do with such rows, and what says what these must
// be like: see shaping.go.

// Deferral is a statement that runs in the swap.
type Deferral struct {
	Place  syntax.Place
	Target uint32   // by oid in scratch
	Reads  []uint32 // the other tables that it names
	// Why it is not understood, of what changes rows that are there and waits for that.
	Why string
}

// whyNotDeferred is what keeps a statement from running in the swap, as far as it is
// known where it stands. A block has one Deferral for each table that it writes.
func (s *step) whyNotDeferred() (all []Deferral, changes []syntax.Change, why string) {
	if do := s.node.GetDoStmt(); do != nil {
		changes, why = syntax.BlockChanges(s.fact.SQL, do)
	} else {
		changes = make([]syntax.Change, 1)
		changes[0], why = syntax.ChangeOf(s.node)
	}
	for i := 0; i < len(changes) && why == ""; i++ {
		var d Deferral
		d, changes[i], why = s.whyNotChanged(changes[i])
		all = append(all, d)
	}
	return all, changes, why
}

// whyNotChanged is the same of what it does to one table.
func (s *step) whyNotChanged(in syntax.Change) (d Deferral, _ syntax.Change, why string) {
	d = Deferral{Place: s.fact.Place(), Target: s.before.Tables[ast.TableName(in.Target)]}
	rel := s.before.Relation(d.Target)
	switch {
	case rel == nil:
		return d, in, "which table it writes is not known"
	case !s.alone(rel) || rel.Rules:
		return d, in, "its table is of a tree, or has rules"
	case s.before.Replica:
		return d, in, "session_replication_role is set"
	case slices.ContainsFunc(rel.Triggers, func(t syntax.Trigger) bool { return t.Type&eventsOf(in) != 0 && t.Enabled != "D" }):
		return d, in, "its table has triggers that it fires"
	case leadsToChanged(rel, in):
		return d, in, "foreign keys lead to what it changes"
	}
	for _, r := range in.Reads {
		read := s.before.Relation(s.before.Tables[ast.TableName(r)])
		if read != nil && read.Kind == "S" && !strings.Contains(strings.ToLower(s.fact.SQL), "log_cnt") {
			in.Draws = append(in.Draws, read.Name) // where it stands
			continue
		}
		if query := r.GetSchemaname() == "" && slices.Contains(in.Queries, r.GetRelname()); query && read == nil {
			continue
		} else if query {
			return d, in, "a query of its WITH goes by a table's name"
		}
		if read == nil || !s.alone(read) {
			return d, in, "it reads " + nameOf(r) + ", which is no plain table"
		}
		if read.OID != rel.OID {
			d.Reads = append(d.Reads, read.OID)
		}
	}
	if why := s.whyNotPortable(in.Calls); why != "" {
		return d, in, why
	}
	if c := s.unportableDefault(rel); c != "" {
		return d, in, "the default of " + c + " calls a function"
	}
	return d, in, s.settingsChange()
}

// eventsOf are those of triggers that a statement may fire.
func eventsOf(in syntax.Change) (events int) {
	if in.Inserts {
		events |= triggerInsert
	}
	if len(in.Assigned) > 0 {
		events |= triggerUpdate
	}
	if in.Removes {
		events |= triggerDelete
	}
	return events
}

// leadsToChanged: rows of other tables refer to what goes, or to a column that gets other values.
func leadsToChanged(rel *syntax.Relation, in syntax.Change) bool {
	return slices.ContainsFunc(rel.References, func(r syntax.Reference) bool {
		return in.Removes || slices.ContainsFunc(r.RefColumns, func(num int16) bool {
			c := rel.ColumnNum(num)
			return c == nil || slices.Contains(in.Assigned, c.Name)
		})
	})
}

// alone: a plain table that no other one inherits from, and that lasts.
func (s *step) alone(r *syntax.Relation) bool {
	return r.Kind == "r" && !r.Partition && len(r.Parents) == 0 && len(s.family(s.before, r.OID, true)) == 1 && !strings.HasPrefix(r.Schema, "pg_")
}

// whyNotPortable names the first of some calls that may give something else in the swap.
func (s *step) whyNotPortable(calls []*pgq.FuncCall) string {
	for _, call := range calls {
		if !s.portable(call) {
			return "it calls " + ast.Qualified(ast.Strings(call.GetFuncname()))
		}
	}
	return ""
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

// wait notes a statement that runs in the swap. It did not run in scratch.
func (s *step) wait() {
	if slices.Contains([]syntax.Kind{syntax.Alter, syntax.Index, syntax.Rename}, s.fact.Kind) {
		s.shapeLater()
		return
	}
	all, changes, why := s.whyNotDeferred()
	if why != "" {
		s.taintStatement(unsupported("%s, so that it cannot wait for the swap either", why))
		return
	}
	for i, d := range all {
		s.deferred = append(s.deferred, d)
		s.coming.add(s.inference, s.before.Relation(d.Target), d, changes[i])
		s.shapes = append(s.shapes, func() { s.checkShape(s.before.Relation(d.Target)) })
	}
}

// orWait notes a statement that might run in the swap, and why it cannot be followed; nil: it is.
func (s *step) orWait(r *reason) *reason {
	if s.part {
		return r
	}
	all, changes, why := s.whyNotDeferred()
	if why != "" {
		return r
	}
	for i, d := range all {
		s.coming.add(s.inference, s.before.Relation(d.Target), d, changes[i])
	}
	lasts := func() bool {
		return !slices.ContainsFunc(all, func(d Deferral) bool { return s.otherShape(s.before.Relation(d.Target)) != "" })
	}
	s.mightWait = append(s.mightWait, waiting{Deferral: all[0], opaque: r != nil, inserts: changes[0].Inserts && s.node.GetDoStmt() == nil, lasts: lasts})
	return r
}

// waiting is a statement that might run in the swap.
type waiting struct {
	Deferral
	opaque  bool        // it is not understood as a whole
	inserts bool        // rows
	lasts   func() bool // its table is in the end what it is there; nil: it changes no rows
	lost    []string    // columns that it drops
}

// must: a statement is not understood, so that it shall wait. What changes rows that are
// there shall if that is seen in the end (why), and can be helped by it.
func (in *inference) must(w waiting) (why string, must bool) {
	if w.lasts == nil || w.inserts && w.opaque {
		return "", w.opaque
	}
	where := fmt.Sprintf("%s:%d", w.Place.File, w.Place.Line)
	i := slices.IndexFunc(in.notices, func(n syntax.Notice) bool { return n.Opaque && n.Where == where })
	if w.inserts {
		return "", i >= 0
	}
	if i < 0 || !w.lasts() {
		return "", false
	}
	return in.notices[i].Message, true
}

// spread finds which statements shall wait: those that are not understood, and in their order
// what has to do with what waits already.
func (in *inference) spread() {
	before, shaped := nothingToCome(), nothingToCome()
	for _, p := range in.o.Statements {
		same := func(d Deferral) bool { return d.Place == p }
		if slices.ContainsFunc(in.deferred, same) {
			before.merge(in.coming.of[p])
			shaped.shapings(in.coming.of[p])
			continue
		}
		i := slices.IndexFunc(in.mightWait, func(w waiting) bool { return same(w.Deferral) })
		if i < 0 {
			in.noteSeeing(shaped, p)
			continue
		}
		d := in.mightWait[i].Deferral
		why, must := in.must(in.mightWait[i])
		concerned := len(before.names()) > 0 && in.concerns(before, p.SQL) != ""
		if !concerned {
			d.Why = why
		}
		if concerned || must {
			in.deferrable = append(in.deferrable, d)
			before.merge(in.coming.of[p])
			shaped.shapings(in.coming.of[p])
		}
	}
}

// noteSeeing notes the first statement that has to do with what tables are to be made like
// before it.
func (in *inference) noteSeeing(shaped toCome, p syntax.Place) {
	if in.sees != nil || len(shaped.shaped) == 0 {
		return
	}
	if why := in.concerns(shaped, p.SQL); why != "" {
		in.sees = &syntax.Notice{Object: syntax.OneLine(shorten(p.SQL)), Where: fmt.Sprintf("%s:%d", p.File, p.Line), Message: "it has to do with rows that come in the swap: " + why}
	}
}

// checkShape holds the table as the statement would find it against what it is in the
// end: there must be nothing but further columns, whatever has made them.
func (s *step) checkShape(rel *syntax.Relation) {
	if other := s.otherShape(rel); other != "" {
		s.taintAlways(s.fact, verb(s.node)+" cannot wait for the swap: "+other)
	}
}

// otherShape is what else the table is in the end; empty: nothing.
func (in *inference) otherShape(rel *syntax.Relation) string {
	final := in.after.ByOID(rel.OID)
	if final == nil || final.Name.Schema != rel.Schema || final.Name.Name != rel.Name {
		return "its table is dropped or goes by another name then"
	}
	for _, c := range rel.Columns {
		now, there := final.Column(c.Num)
		lost := (!there || now.Name != c.Name) && in.lostLater(rel.OID, c.Name)
		if !there && lost {
			continue
		}
		if !there || now.Name != c.Name && !lost || now.TypeOID != c.Type.OID || now.Default != c.Default || now.Identity != c.Identity || now.Generated != c.Generated {
			return "column " + c.Name + " is another one then"
		}
	}
	if len(in.redefined) > 0 && in.computed(rel.OID) {
		return "checks or indexes of its table may call functions that the migrations change"
	}
	return ""
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
