package transforms

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	pgq "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/syntax/ast"
)

// coming is what statements that run in the swap have to do with.
type coming struct {
	of      map[syntax.Place]toCome
	parents map[uint32][]uint32 // of a table, all that its foreign keys lead to
}

// toCome is the same by names, as later statements may say them: whatever schema they
// name, to be on the safe side.
type toCome struct {
	written map[string]bool            // tables that rows come into, or are changed of
	passes  map[string]bool            // those of them where unique indexes decide about rows
	changed map[string]map[string]bool // columns of them that rows which are there get anew; "": such rows are removed
	read    map[string]bool            // tables that are read for it
	parents map[string]map[string]bool // tables that foreign keys lead to, with the columns these refer to
	objects map[string]bool            // indexes and sequences of the first
	types   map[string]bool            // types of their columns
	bare    map[string]bool            // columns that are read without saying of which table
	shaped  map[string]bool            // tables of which is said what rows must be like
	unique  map[string]bool            // those of them that get a unique index
	led     map[string]bool            // tables that their new foreign keys lead to
	made    map[string]bool            // names of what these statements make and drop
	lost    map[string]map[string]bool // columns that they drop, by table
	added   map[string]map[string]bool // and add: further ones come behind these
}

// add gathers that of one statement, for a table that it writes.
func (c *coming) add(in *inference, target *syntax.Relation, d Deferral, change syntax.Change) {
	if c.of == nil {
		c.of, c.parents = map[syntax.Place]toCome{}, map[uint32][]uint32{}
	}
	t, more := c.of[d.Place]
	if !more {
		t = nothingToCome()
	}
	t.written[target.Name] = true
	if change.Passes {
		t.passes[target.Name] = true
	}
	mergeColumns(t.changed, map[string]map[string]bool{target.Name: columnSet(change.Assigned)})
	if change.Removes {
		t.changed[target.Name][""] = true
	}
	for _, r := range change.Reads {
		if r.GetRelname() != target.Name {
			t.read[r.GetRelname()] = true
		}
	}
	for _, name := range change.Bare {
		t.bare[name] = true
	}
	for _, name := range change.Draws {
		t.objects[name], t.objects["currval"], t.objects["lastval"] = true, true, true
	}
	in.belongings(t, target)
	c.parents[target.OID] = in.ancestors(target.OID, t.parents)
	c.of[d.Place] = t
}

// belongings are what belongs to a table.
func (in *inference) belongings(t toCome, target *syntax.Relation) {
	for _, column := range target.Columns {
		if column.Type.User {
			t.types[nameOnly(column.Type.Name)] = true
		}
		if strings.Contains(column.Default, "nextval") || column.Identity != "" {
			t.objects["currval"], t.objects["lastval"] = true, true
		}
		for _, s := range in.after.Sequences {
			if s.Table == target.OID || strings.Contains(column.Default, s.Name.Name) {
				t.objects[s.Name.Name] = true
			}
		}
	}
	for _, i := range slices.Concat(in.before.Indexes, in.after.Indexes) {
		if i.Table == target.OID {
			t.objects[i.Name.Name] = true
		}
	}
}

// ancestors are all tables that a table's foreign keys lead to, from table to table: a
// change of one may cascade.
func (in *inference) ancestors(table uint32, names map[string]map[string]bool) (all []uint32) {
	found := []uint32{table}
	for i := 0; i < len(found); i++ { // grows
		for _, k := range slices.Concat(in.before.Constraints, in.after.Constraints) {
			if k.Kind != "f" || k.Table != found[i] {
				continue
			}
			if !slices.Contains(found, k.References) {
				found = append(found, k.References)
			}
			for _, t := range in.tablesNamed(k.References) {
				if names[t.Name] == nil {
					names[t.Name] = map[string]bool{}
				}
				for _, num := range k.RefColumns {
					if c := t.ColumnNum(num); c != nil {
						names[t.Name][c.Name] = true
					}
				}
			}
		}
	}
	return found[1:]
}

// tablesNamed is a table as it was in the beginning, and as it was seen last.
func (in *inference) tablesNamed(oid uint32) (all []*syntax.Relation) {
	if t := in.before.ByOID(oid); t != nil {
		all = append(all, fromCatalog(t))
	}
	if t := in.after.ByOID(oid); t != nil {
		all = append(all, fromCatalog(t))
	}
	return all
}

func nameOnly(typ string) string {
	typ = strings.TrimSuffix(modifier.ReplaceAllString(typ, ""), "[]")
	return strings.Trim(typ[strings.LastIndex(typ, ".")+1:], `"`)
}

func nothingToCome() toCome {
	return toCome{written: map[string]bool{}, passes: map[string]bool{}, changed: map[string]map[string]bool{}, read: map[string]bool{}, parents: map[string]map[string]bool{},
		objects: map[string]bool{}, types: map[string]bool{}, bare: map[string]bool{}, shaped: map[string]bool{}, unique: map[string]bool{}, led: map[string]bool{}, made: map[string]bool{},
		lost: map[string]map[string]bool{}, added: map[string]map[string]bool{}}
}

func (t *toCome) merge(other toCome) {
	maps.Copy(t.written, other.written)
	maps.Copy(t.passes, other.passes)
	maps.Copy(t.read, other.read)
	maps.Copy(t.objects, other.objects)
	maps.Copy(t.types, other.types)
	maps.Copy(t.bare, other.bare)
	maps.Copy(t.shaped, other.shaped)
	maps.Copy(t.unique, other.unique)
	maps.Copy(t.led, other.led)
	maps.Copy(t.made, other.made)
	mergeColumns(t.parents, other.parents)
	mergeColumns(t.lost, other.lost)
	mergeColumns(t.added, other.added)
	mergeColumns(t.changed, other.changed)
}

func columnSet(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

func mergeColumns(all, more map[string]map[string]bool) {
	for name, columns := range more {
		if all[name] == nil {
			all[name] = map[string]bool{}
		}
		maps.Copy(all[name], columns)
	}
}

// names are all of them, in one order: what is told names the first that fits.
func (t *toCome) names() []string {
	all := slices.Collect(maps.Keys(t.parents))
	for _, set := range []map[string]bool{t.written, t.read, t.objects, t.types, t.led, t.made} {
		all = slices.AppendSeq(all, maps.Keys(set))
	}
	slices.Sort(all)
	return all
}

var fillsView = regexp.MustCompile(`(?is)^\s*(create|refresh)\s+materialized\s+view\b`)

// concerns is what a later statement has to do with rows that come in the swap; empty:
// nothing.
func (in *inference) concerns(t toCome, sql string) string {
	if fillsView.MatchString(sql) {
		return "it fills a materialized view"
	}
	text := text{lower: strings.ToLower(sql), words: wordSet(sql)}
	if dropsIndex.MatchString(sql) {
		return in.takesIndex(t, sql)
	}
	if !slices.ContainsFunc(t.names(), text.has) {
		return ""
	}
	tree, r := in.parse(sql)
	if r != nil || len(tree.GetStmts()) != 1 {
		return r.why("it cannot be read")
	}
	n := tree.GetStmts()[0].GetStmt()
	if why := text.names(sorted(t.objects)); why != "" && n.GetCommentStmt() == nil && n.GetIndexStmt() == nil {
		return why
	}
	if why := text.names(sorted(t.made)); why != "" {
		return why
	}
	return t.concernedBy(n, text)
}

// concernedBy is the same of a statement that has some of the names in its text. Of what is
// not known here each name counts.
func (t *toCome) concernedBy(n *pgq.Node, text text) string {
	if why := t.namesAdded(text); why != "" {
		return why
	}
	if why, asked := t.asksRows(n, text); asked {
		return why
	}
	switch s := n.GetNode().(type) {
	case *pgq.Node_CommentStmt:
		return ""
	case *pgq.Node_ViewStmt:
		return cmp.Or(text.names(sorted(t.lost)), text.names(sorted(t.added))) // with all of its columns, perhaps
	case *pgq.Node_CreateFunctionStmt:
		if s.CreateFunctionStmt.GetSqlBody() != nil {
			return cmp.Or(text.names(sorted(t.lost)), text.names(sorted(t.added)))
		}
		return ""
	case *pgq.Node_GrantStmt:
		if s.GrantStmt.GetIsGrant() {
			return ""
		}
	case *pgq.Node_AlterTableStmt:
		return t.alters(s.AlterTableStmt)
	case *pgq.Node_CreateStmt:
		return cmp.Or(t.named("it inherits from ", parents(s.CreateStmt)...), t.leads(n))
	case *pgq.Node_IndexStmt:
		if name := s.IndexStmt.GetRelation().GetRelname(); s.IndexStmt.GetUnique() && t.passes[name] {
			return "it makes a unique index of " + name
		}
		return ""
	case *pgq.Node_CreateTrigStmt:
		return t.named("it is a trigger of ", s.CreateTrigStmt.GetRelation())
	case *pgq.Node_RenameStmt:
		if why := text.names(sorted(t.types)); why != "" {
			return why
		}
		if name := s.RenameStmt.GetRelation().GetRelname(); t.led[name] {
			return "it renames what belongs to " + name
		}
		return t.named("it renames what belongs to ", s.RenameStmt.GetRelation())
	case *pgq.Node_CreateEnumStmt, *pgq.Node_CreateSchemaStmt, *pgq.Node_CreateExtensionStmt:
		return ""
	case *pgq.Node_AlterEnumStmt:
		if s.AlterEnumStmt.GetOldVal() == "" {
			return ""
		}
	}
	return text.names(t.names())
}

func parents(s *pgq.CreateStmt) (all []*pgq.RangeVar) {
	for _, n := range s.GetInhRelations() {
		all = append(all, n.GetRangeVar())
	}
	return all
}

// asksRows is the same of a statement that changes rows or reads them; false: it is none.
func (t *toCome) asksRows(n *pgq.Node, text text) (why string, asked bool) {
	switch s := n.GetNode().(type) {
	case *pgq.Node_UpdateStmt:
		return t.changes(n, s.UpdateStmt.GetRelation(), s.UpdateStmt.GetWithClause(), syntax.Targets(s.UpdateStmt.GetTargetList())), true
	case *pgq.Node_DeleteStmt:
		return t.changes(n, s.DeleteStmt.GetRelation(), s.DeleteStmt.GetWithClause(), nil), true
	case *pgq.Node_InsertStmt:
		return t.changes(n, s.InsertStmt.GetRelation(), s.InsertStmt.GetWithClause(), nil), true
	case *pgq.Node_SelectStmt, *pgq.Node_CreateTableAsStmt:
		return text.names(sorted(t.written)), true
	}
	return "", false
}

// namesAdded: of what is not there until the swap.
func (t *toCome) namesAdded(text text) string {
	for _, table := range sorted(t.added) {
		if why := text.names(sorted(t.added[table])); why != "" && text.has(table) {
			return why + " of " + table
		}
	}
	return ""
}

func (r *reason) why(otherwise string) string {
	if r == nil {
		return otherwise
	}
	return r.text
}

// text is a statement's, to be searched for names.
type text struct {
	lower string
	words map[string]bool
}

func (t text) has(name string) bool {
	name = strings.ToLower(name)
	return t.words[name] || word.FindString(name) != name && strings.Contains(t.lower, name)
}

// names says which of some names it has first; empty: none.
func (t text) names(all []string) string {
	if i := slices.IndexFunc(all, t.has); i >= 0 {
		return "it names " + all[i]
	}
	return ""
}

func sorted[V any](names map[string]V) []string { return slices.Sorted(maps.Keys(names)) }

func (t *toCome) named(what string, relations ...*pgq.RangeVar) string {
	for _, r := range relations {
		if name := r.GetRelname(); t.written[name] || t.read[name] {
			return what + name
		}
	}
	return ""
}

// changes: a statement that changes rows must not change what the others read, nor read
// what they write.
func (t *toCome) changes(n *pgq.Node, target *pgq.RangeVar, with *pgq.WithClause, columns []string) string {
	name := target.GetRelname()
	keys, parent := t.parents[name]
	switch {
	case t.read[name]:
		return "it changes " + name
	case parent && (columns == nil || slices.ContainsFunc(columns, func(c string) bool { return keys[c] })):
		return "it changes " + name + ", which foreign keys lead to"
	}
	why := ""
	ast.Visit(n, func(m proto.Message) bool {
		r, ok := m.(*pgq.RangeVar)
		if !ok {
			return true
		}
		_, parent := t.parents[r.GetRelname()]
		if t.written[r.GetRelname()] || with != nil && (parent || t.read[r.GetRelname()]) {
			why = "it names " + r.GetRelname()
		}
		return true
	})
	return why
}
