package plans

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/reverse"
)

// Direction says which way the rows of a plan go.
type Direction string

// The directions, as the control schema spells them.
const (
	Forward Direction = "forward" // from production to the shadow, until the swap
	Back    Direction = "reverse" // from the new tables to the old ones, from the swap on
)

// Opposite is the other direction.
func (d Direction) Opposite() Direction {
	if d == Back {
		return Forward
	}
	return Back
}

// Backwards reports whether the plan is that of a way back: see [Plan.Inverse].
func (p *Plan) Backwards() bool { return p.Direction == Back }

// Flow is the plan's direction as the control schema spells it.
func (p *Plan) Flow() Direction {
	if p.Backwards() {
		return Back
	}
	return Forward
}

// Landed is the side that a swap by this plan makes production.
func (p *Plan) Landed() string {
	if p.Backwards() {
		return "old side"
	}
	return "new side"
}

// Swapping is what a swap by this plan is called.
func (p *Plan) Swapping() string {
	if p.Backwards() {
		return "rollback"
	}
	return "cutover"
}

// Feeds reports whether changes of a source reach any table.
func (p *Plan) Feeds(source int) bool {
	return slices.ContainsFunc(p.Tables, func(t Table) bool { return t.ReadsFrom(source) })
}

// Inverse is the plan of the way back: its sources are the new tables under their
// final names, its tables are the old ones, whose columns are filled as
// [Table.Reverse] says. What copies, replays, verifies and swaps does so with it as
// with any plan, and takes the new side for production and the old side for the
// shadow.
//
// A source has the number of the table that it was in this plan, as its journal
// has. What only the catalogs know since the swap, numbers of relations and names
// of types, is to be filled in: see capture.Locate. Old tables that the new ones do
// not tell enough about are missing: see [Plan.Lost].
//
// In a remote plan the old tables have kept their names.
func (p *Plan) Inverse() *Plan {
	p = p.afterFence()
	back := &Plan{
		Direction: Back, Run: p.Run, FromVersion: p.ToVersion, ToVersion: p.FromVersion, Build: Direct, Runnable: true,
		Remote: p.Remote, SearchPath: p.SearchPath, Session: p.Session, StartedAt: p.StartedAt,
		VersionTable: p.VersionTable, Production: p.Production, Findings: p.Findings, Settings: p.Settings,
	}
	for _, s := range p.Schemas {
		back.Schemas = append(back.Schemas, Schema{Production: s.Production, Shadow: p.Old(pg.Name{Schema: s.Production}).Schema, Old: s.Shadow, Swap: s.Swap})
	}
	for i := range p.Tables {
		back.Sources = append(back.Sources, p.sourceOf(&p.Tables[i]))
	}
	for i := range p.Sources {
		s := &p.Sources[i]
		if t := p.feederOf(s); s.Back != nil {
			back.Tables = append(back.Tables, p.wayBackByQuery(len(back.Tables), s))
		} else if t != nil {
			back.Tables = append(back.Tables, p.wayBack(len(back.Tables), s, t))
		}
	}
	for _, s := range p.Sequences {
		if now := p.finalObject(s.Shadow); !s.Production.IsZero() && !now.IsZero() {
			back.Sequences = append(back.Sequences, Sequence{Shadow: p.Old(s.Production), Production: now, Identity: s.Identity})
		}
	}
	for _, s := range p.Shared { // whom a sequence belonged to was noted in the swap
		back.Shared = append(back.Shared, Shared{Kind: s.Kind, Name: s.Name})
	}
	for _, v := range p.Views {
		if now := p.finalObject(v.Shadow); !v.Production.IsZero() && !now.IsZero() {
			back.Views = append(back.Views, Matview{Shadow: p.Old(v.Production), Production: now})
		}
	}
	return back
}

// Captured reports whether a table of the shadow is captured from the swap on: what
// was copied or derived from production. Tables that production never had have
// nowhere to go back to.
func (t *Table) Captured() bool { return t.Feed == Copied || t.Feed == Derived }

// sourceOf is a table of the shadow as a source of the way back.
func (p *Plan) sourceOf(t *Table) Source {
	s := Source{N: t.N, Name: t.Final, Kind: t.Kind, Unlogged: t.Unlogged, Record: p.recordBack(t), Tracked: p.trackedBack(t),
		Columns: []SourceColumn{}, Key: []KeyColumn{}}
	for _, c := range t.Columns {
		s.Columns = append(s.Columns, SourceColumn{Name: c.Shadow, Type: c.Type, Generated: c.Generated})
	}
	for _, k := range t.Key {
		s.Key = append(s.Key, KeyColumn{Name: k.Shadow, Type: k.Type, Equals: k.Equals})
	}
	return s
}

// recordBack is as production's table was recorded: what there was to be said for
// the key alone, wide rows or a key that is checked late, there is here.
func (p *Plan) recordBack(t *Table) Record {
	switch s := p.CopiedFrom(t); {
	case len(t.Key) == 0:
		return RecordImage
	case p.Behind != nil: // the journal is made before the migrations, and holds no table to its type
		return RecordKey
	case t.Kind == Inherited, s != nil && s.Record == RecordKey:
		return RecordKey
	}
	return RecordRow
}

// SourceAfterSwap is a table of the shadow as [Plan.Inverse] has it among its
// sources.
func (p *Plan) SourceAfterSwap(t *Table) *Source {
	final := p.FinalTable(t)
	s := p.sourceOf(&final)
	return &s
}

// feederOf is the new table that a production table's rows come back from; nil:
// none tells enough. A table whose rows were divided among several has none.
func (p *Plan) feederOf(s *Source) *Table {
	var best *Table
	var most int
	for i := range p.Tables {
		t := &p.Tables[i]
		if t.Feed != Copied || t.Source != s.N || !t.keyComesBack(s) {
			continue
		}
		known := 0
		for _, c := range t.Reverse {
			if c.Expression != "" {
				known++
			}
		}
		if best != nil && (best.Where != "" || t.Where != "") {
			return nil
		}
		if best == nil || known > most || known == most && t.Final == s.Name {
			best, most = t, known
		}
	}
	return best
}

// keyComesBack: the old row is found by the new one's key. Of a table without a key
// each row is known by its content.
func (t *Table) keyComesBack(s *Source) bool {
	if len(t.Reverse) == 0 || len(s.Key) != len(t.Key) {
		return false
	}
	for _, k := range s.Key {
		if c, ok := t.reverse(k.Name); !ok || c.Expression == "" {
			return false
		}
	}
	return true
}

// SpeltAnyhow reports whether a value of the type is found by its equality however it is
// spelt, and goes by its digits: 1.5 is 1.50.
func SpeltAnyhow(kind string) bool {
	return strings.HasPrefix(strings.TrimPrefix(kind, "pg_catalog."), "numeric") && !strings.HasSuffix(kind, "]")
}

func (t *Table) reverse(column string) (Column, bool) {
	i := slices.IndexFunc(t.Reverse, func(c Column) bool { return c.Shadow == column })
	if i < 0 {
		return Column{}, false
	}
	return t.Reverse[i], true
}

// wayBack is a production table as a table of the way back, fed by t.
func (p *Plan) wayBack(n int, s *Source, t *Table) Table {
	back := Table{N: n, Shadow: p.Old(s.Name), Final: s.Name, Feed: Copied, Kind: s.Kind, Source: t.N, Production: t.Final,
		Unlogged: s.Unlogged, Own: p.AfterSwap(t.Where, s.Name.Name), Columns: []Column{}, Key: []Pair{}, Reverse: []Column{}}
	for _, c := range t.Reverse {
		c.Expression, c.Type = p.AfterSwap(c.Expression, t.Final.Name), p.AfterSwap(c.Type, "")
		// What there is nothing for on the new side keeps its last value; of a new row it
		// is Expression, or the column's default.
		c.Volatile = !c.Generated && (c.Kept || c.Expression == "")
		c.Uncompared = c.Loss != "" && !s.Keyed(c.Shadow)
		c.Alike = c.Loss != "" && s.Keyed(c.Shadow) && SpeltAnyhow(c.Type)
		back.Columns = append(back.Columns, c)
	}
	for _, k := range t.Key {
		i := slices.IndexFunc(back.Columns, func(c Column) bool { return c.Shadow == k.Production })
		if i >= 0 {
			c := back.Columns[i]
			back.Key = append(back.Key, Pair{Production: k.Shadow, Shadow: k.Production, Expression: c.Expression, Type: c.Type, Equals: s.equals(k.Production)})
		}
	}
	p.leaveOutUnfit(&back, t)
	a := p.AfterFence(t)
	back.Lacking = back.Where != "" || a != nil && a.Writes != ""
	return back
}

// leaveOutUnfit lets the way back go on without rows that the old table refuses: they
// are noted by their keys, and what the old side has of them stays as it is. Rows
// that it would alter are noted, and go back altered.
// Where rows have no key those that it would alter are noted by their content. What it
// refuses of such a table, or of one with a key that the old row does not tell, stops the
// table; apart also where it takes types or functions of the schemas' own, which another
// server may not have.
func (p *Plan) leaveOutUnfit(back, t *Table) {
	switch {
	case t.Unfit == "" || len(back.Key) != len(t.Key) || p.Remote && p.namesOwn(t.Unfit):
		return
	case len(t.Key) == 0:
		back.Unfit = t.Unfit
		return
	}
	var noted []string
	for _, k := range t.Key {
		i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Shadow == k.Shadow })
		if i < 0 || t.Columns[i].Means != "" || t.Columns[i].Looks || p.Remote && p.namesOwn(k.Type) { // evaluated by a function that is gone after the swap
			return
		}
		noted = append(noted, "("+p.AfterSwap(k.Expression, back.Final.Name)+")::"+p.AfterSwap(k.Type, "")+"::text")
	}
	for i := range back.Key {
		back.Key[i].Refused = reverse.Of(t.Key[i].Type, back.Key[i].Type, reverse.Server(p.Production.Version)).Refused
	}
	back.Noted, back.Unfit, back.Refuses = noted, t.Unfit, t.Refuses
	if t.Refuses != "" {
		back.Where = "(" + t.Refuses + "\n) IS NULL"
	}
}

// namesOwn reports whether SQL text names something in the schemas that move, or might.
func (p *Plan) namesOwn(text string) bool {
	return slices.ContainsFunc(p.Schemas, func(s Schema) bool {
		return slices.ContainsFunc([]string{s.Production, s.Shadow}, func(schema string) bool {
			return strings.Contains(text, schema+".") || strings.Contains(text, pg.Ident(schema)+".")
		})
	})
}

// Keyed reports whether a column is of the key.
func (s *Source) Keyed(column string) bool {
	return slices.ContainsFunc(s.Key, func(k KeyColumn) bool { return k.Name == column })
}

func (s *Source) equals(column string) string {
	for _, k := range s.Key {
		if k.Name == column {
			return k.Equals
		}
	}
	return "="
}

// Lost are production's tables, by name, whose rows do not come back: what is
// written after the swap stays in the new ones.
func (p *Plan) Lost() []pg.Name {
	p = p.afterFence()
	var all []pg.Name
	for i := range p.Sources {
		if s := &p.Sources[i]; s.Back == nil && p.feederOf(s) == nil {
			all = append(all, s.Name)
		}
	}
	return all
}

// Retype replaces the name of a type in SQL text of the plan by the one that it
// has now: from the swap on types have the schemas that the tables have.
func Retype(text, planned, now string) string {
	if planned == now || !strings.Contains(planned, ".") {
		return text
	}
	return strings.ReplaceAll(text, planned, now)
}

// LostColumns tells, a line each, which columns do not come back as they are
// written after the swap. Those of which only some values would not: [Plan.MayLose].
func (p *Plan) LostColumns() []string {
	var all []string
	for _, t := range p.Inverse().Tables {
		for _, c := range t.Columns {
			if text := c.lost(); text != "" {
				all = append(all, t.Final.String()+"."+c.Shadow+": "+text)
			}
		}
	}
	return all
}

// lost says what a column of a way back loses; empty: nothing.
func (c Column) lost() string {
	switch {
	case c.Volatile && c.Expression != "":
		return "" // the plan file says what new rows get
	case c.Volatile && c.Kept:
		return "rows of before the cutover keep its last value, newer ones get its default"
	case c.Volatile:
		return "the new side does not hold it: rows of before the cutover keep its value of then, newer ones get its default; where it has none and must have a value, they cannot be taken back"
	case c.Held:
		return "values that " + c.Loss + " do not come back as they are"
	}
	return ""
}

// MayLose tells, a line each, of which columns some values would not come back as they
// are. No row of production's held one when this was planned, as far as was asked.
func (p *Plan) MayLose() []string {
	var all []string
	for _, t := range p.Inverse().Tables {
		for _, c := range t.Columns {
			if c.Loss != "" && !c.Held && !c.Spared && c.lost() == "" {
				all = append(all, t.Final.String()+"."+c.Shadow+": values that "+c.Loss+", if there are some, do not come back as they are")
			}
		}
	}
	return all
}
