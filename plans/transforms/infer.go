package transforms

import (
	"errors"
	"fmt"
	"strings"
	"time"

	pgq "github.com/pganalyze/pg_query_go/v6"

	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

// Infer executes the facts symbolically. before and after are scratch's
// structure around the migrations; marks are those of [syntax.ReadMarks]. Whatever
// cannot be inferred is a notice.
func Infer(before, after *catalog.Catalog, facts []syntax.Fact, marks []syntax.Mark, o Options) Inference {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	in := &inference{o: o, before: before, after: after, tables: map[uint32]*table{}, types: map[string]syntax.Type{},
		functions: map[uint32]syntax.Function{}, redefined: map[uint32]bool{}, views: map[string]bool{}, bodies: map[uint32]*reason{}, relabelled: relabelled(facts), typeNames: map[string]*pgq.TypeName{}, lookups: map[string]*lookup{}}
	for _, m := range marks {
		in.learn(&m.What)
	}
	in.begin(marks)
	for _, f := range facts {
		in.fact(f, marks)
	}
	if end := find(marks, 0, "end"); end != nil {
		in.merge(end, absorption{where: "the migrations"})
	}
	in.checkDeferred()
	result := in.finish()
	in.spread()
	result.Deferrable, result.Sees = in.deferrable, in.sees
	result.Err = in.err
	return result
}

// inference is the symbolic state while the facts are followed.
type inference struct {
	o             Options
	before, after *catalog.Catalog
	tables        map[uint32]*table
	functions     map[uint32]syntax.Function // the user's own, as last seen
	redefined     map[uint32]bool            // those of them that the migrations change
	types         map[string]syntax.Type     // the user's own, by qualified name
	views         map[string]bool            // names of relations that show other tables' rows
	relabelled    map[string]string          // where labels of types are renamed, by the types' own names
	bodies        map[uint32]*reason         // why a function's body keeps it out of transforms
	typeNames     map[string]*pgq.TypeName
	lookups       map[string]*lookup // by the name of the table in expressions
	aliases       int                // how many such names there are
	sets          int                // and how many of functions in FROM
	taints        []taint
	questions     []Orphans
	notices       []syntax.Notice
	deferred      []Deferral // run in the swap
	deferrable    []Deferral // shall, in the next plan
	mightWait     []waiting
	sees          *syntax.Notice // see [Inference]
	coming        coming         // by these
	shapes        []func()       // that look at their tables in the end
	using         []string       // where code stands that may change types with USING, unseen
	err           error          // the parser process broke
}

// reason is why something cannot be inferred.
type reason struct {
	text     string
	volatile bool
	rows     bool  // it concerns which rows there are, not one column
	others   bool  // it depends on other rows, so no expression over one can say it
	live     bool  // rows that the migrations made up are concerned too
	tainted  []int // it comes from these earlier blames
}

func unsupported(format string, args ...any) *reason {
	return &reason{text: fmt.Sprintf(format, args...)}
}

// ofOthers is because, where other rows than the one that is written count.
func ofOthers(format string, args ...any) *reason {
	return &reason{text: fmt.Sprintf(format, args...), others: true}
}

// parse is parse with errors as reasons; those of the process are kept.
func (in *inference) parse(sql string) (*pgq.ParseResult, *reason) {
	tree, err := parser.Parse(sql)
	if err == nil {
		return tree, nil
	}
	return nil, in.failed(err)
}

func (in *inference) failed(err error) *reason {
	if refused := new(parser.Refusal); !errors.As(err, &refused) && in.err == nil {
		in.err = fmt.Errorf("infer transforms: %w", err)
	}
	return unsupported("the parser cannot read it (%s)", err.Error())
}

func find(marks []syntax.Mark, fact int, phase string) *syntax.Seen {
	for i := range marks {
		if marks[i].Fact == fact && marks[i].Phase == phase {
			return &marks[i].What
		}
	}
	return nil
}

// learn keeps definitions of functions and types, whenever they were seen.
func (in *inference) learn(s *syntax.Seen) {
	for _, list := range s.Functions {
		for _, f := range list {
			in.learnFunction(f)
		}
	}
	for _, f := range s.AllFunctions {
		in.learnFunction(f)
	}
	for _, r := range s.Relations {
		if r.Kind == "v" || r.Kind == "m" || r.Kind == "f" {
			in.views[r.Name] = true
		}
	}
	for _, t := range s.AllTypes {
		in.types[t.Name] = t
	}
	for _, t := range s.Types {
		in.types[t.Name] = t
	}
}

func (in *inference) learnFunction(f syntax.Function) {
	if was, known := in.functions[f.OID]; known && was.Definition != f.Definition {
		in.redefined[f.OID] = true
	}
	in.functions[f.OID] = f
}

// begin lays out production: every column is itself.
func (in *inference) begin(marks []syntax.Mark) {
	start := find(marks, 0, "start")
	for _, t := range in.before.Tables {
		if t.Kind != "r" && t.Kind != "p" {
			continue
		}
		tab := &table{oid: t.OID, columns: map[int16]*value{}, last: fromCatalog(t)}
		if start != nil {
			if r := start.Relation(t.OID); r != nil {
				tab.last = r
			}
		}
		if t.PartitionOf != 0 {
			tab.memberOf = t.PartitionOf
		} else {
			tab.source = t.OID
			for _, c := range tab.last.Columns {
				tab.columns[c.Num] = &value{node: ast.Column(c.Name), origin: Lineage, typ: c.Type, generated: c.Generated != ""}
			}
		}
		in.tables[t.OID] = tab
	}
}

// fromCatalog is a table whose start was not marked.
func fromCatalog(t *catalog.Table) *syntax.Relation {
	r := &syntax.Relation{OID: t.OID, Schema: t.Name.Schema, Name: t.Name.Name, Kind: t.Kind, Partition: t.PartitionOf != 0, Parents: t.Parents}
	for _, c := range t.Columns {
		r.Columns = append(r.Columns, syntax.Column{Num: c.Num, Name: c.Name, Type: syntax.Type{OID: c.TypeOID, Name: c.Type},
			Default: c.Default, Identity: c.Identity, Generated: c.Generated})
	}
	return r
}

// fact follows one statement.
func (in *inference) fact(f syntax.Fact, marks []syntax.Mark) {
	if f.Kind == syntax.Unread {
		in.mayRetype(f, f.SQL)
		return
	}
	before, after := find(marks, f.ID, "before"), find(marks, f.ID, "after")
	if f.Marked && after == nil {
		return // rolled back, or never reached
	}
	if before == nil || after == nil {
		before, after = &syntax.Seen{}, &syntax.Seen{}
	}
	in.merge(before, absorption{where: where(f)})
	tree, r := in.parse(f.SQL)
	if r != nil || len(tree.GetStmts()) == 0 {
		in.taintAlways(f, "the parser cannot read this statement")
		return
	}
	s := &step{inference: in, fact: f, node: tree.GetStmts()[0].GetStmt(), before: before, after: after}
	if before.Settings["standard_conforming_strings"] == "off" && strings.Contains(f.SQL, `\`) {
		s.taintStatement(unsupported("a backslash in its texts means something else while standard_conforming_strings is off"))
	} else if f.Deferred {
		s.wait()
	} else {
		s.run()
	}
	if f.Kind == syntax.Opaque && !f.Deferred {
		s.codeConcerns()
	}
	in.merge(after, absorption{where: where(f), hints: hints(s.node), marked: f.Kind == syntax.Alter, own: f.Kind == syntax.Opaque && f.Marked})
}

func (in *inference) mayRetype(f syntax.Fact, text string) {
	if usingWords.MatchString(text) {
		in.using = append(in.using, where(f))
	}
}

func where(f syntax.Fact) string { return fmt.Sprintf("%s:%d", f.File, f.Line) }

// step is one statement being followed, a method for each kind.
type step struct {
	*inference
	fact          syntax.Fact
	node          *pgq.Node
	before, after *syntax.Seen
	part          bool // of the fact's statement only
}

// run follows the statement; what cannot be followed blames what it writes.
func (s *step) run() {
	if r := s.follow(); r != nil {
		s.taintStatement(r)
	}
}

// follow follows the statement; a reason: it cannot be followed.
func (s *step) follow() (r *reason) {
	if main, removal := s.splitWith(); removal != nil {
		if r := main.follow(); r != nil {
			return r
		}
		return removal.follow()
	}
	switch n := s.node.GetNode().(type) {
	case *pgq.Node_AlterTableStmt:
		s.alter(n.AlterTableStmt)
		s.mayShapeLater()
	case *pgq.Node_IndexStmt, *pgq.Node_RenameStmt:
		s.mayShapeLater()
	case *pgq.Node_UpdateStmt:
		r = s.orWait(s.update(n.UpdateStmt))
	case *pgq.Node_DeleteStmt:
		r = s.orWait(s.remove(n.DeleteStmt))
	case *pgq.Node_InsertStmt:
		r = s.orWait(s.inserted(n.InsertStmt))
	case *pgq.Node_TruncateStmt:
		s.truncate(n.TruncateStmt)
	case *pgq.Node_CreateTableAsStmt:
		r = s.create(n.CreateTableAsStmt.GetQuery().GetSelectStmt(), n.CreateTableAsStmt.GetInto())
	case *pgq.Node_SelectStmt:
		if into := n.SelectStmt.GetIntoClause(); into != nil {
			r = s.create(n.SelectStmt, into)
			break
		}
		s.opaque()
	case *pgq.Node_DoStmt:
		if !s.followBlock(n.DoStmt) {
			s.opaque()
		}
		_ = s.orWait(nil) // what cannot be followed is told already
	default:
		s.opaque()
	}
	return r
}
