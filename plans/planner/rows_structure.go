package planner

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// unrepeatable finds, in a default or a statement, what gives another value each
// time.
var unrepeatable = regexp.MustCompile(`(?i)\b(now|random|gen_random_uuid|uuid_generate_v1|uuid_generate_v4|uuidv4|uuidv7|clock_timestamp|statement_timestamp|transaction_timestamp|current_timestamp|current_date|current_time|localtime|localtimestamp|timeofday|txid_current|pg_current_xact_id|gen_salt|gen_random_bytes)\b`)

// structural are statements that fill no column by themselves: what they say of
// defaults is read from the catalog.
var structural = regexp.MustCompile(`(?i)^\s*(CREATE (UNLOGGED )?TABLE\s+(IF NOT EXISTS\s+)?[^\s(]+\s*\(|ALTER\b|COMMENT\b)`)

// compareStructure: what the migrations make is the same whether there are rows or
// none.
func (p *proof) compareStructure() {
	ours, theirs := p.describe(p.draft.after), p.describe(p.after)
	for _, name := range namesOf(theirs) {
		was, there := ours[name]
		switch {
		case !there:
			p.decided(name, "they make it only where there are rows")
		case was != theirs[name]:
			p.decided(name, "they make it otherwise where there are rows")
		}
	}
	for _, name := range namesOf(ours) {
		if _, there := theirs[name]; !there {
			p.decided(name, "they make it only where there are no rows")
		}
	}
}

func namesOf(objects map[pg.Name]string) []pg.Name {
	return slices.SortedFunc(maps.Keys(objects), func(a, b pg.Name) int { return strings.Compare(a.Quoted(), b.Quoted()) })
}

// decided is a statement that went another way on rows than without.
func (p *proof) decided(object pg.Name, message string) {
	word, _, _ := strings.Cut(object.Name, ".") // of a constraint: its table
	p.opaque("decided-by-rows", object.String(), p.naming(nameOnly(word)), "what the migrations do here depends on production's rows: "+message,
		"run it by hand before or after the upgrade, or write statements that do the same whatever the rows hold")
}

// describe is what makes each object of the schemas that move what it is. Owners
// are left out: stand-ins own them while the migrations run.
func (p *proof) describe(c *catalog.Catalog) map[pg.Name]string {
	all := map[pg.Name]string{}
	for _, t := range c.Tables {
		if !p.moving(t.Name.Schema) || t.Extension {
			continue
		}
		text := fmt.Sprint(t.Kind, t.Persistence, t.RowSecurity, t.ForceRLS, t.Bound, t.Definition)
		for _, parent := range t.Parents {
			if up := c.ByOID(parent); up != nil {
				text += " of " + up.Name.Quoted()
			}
		}
		for _, column := range t.Columns {
			text += fmt.Sprint("\n", column.Name, " ", column.Type, column.NotNull, column.Default, column.Identity, column.Generated, column.Collation)
		}
		all[t.Name] = text
	}
	for _, i := range c.Indexes {
		if t := c.ByOID(i.Table); t != nil && p.moving(t.Name.Schema) {
			all[i.Name] = fmt.Sprint(t.Name, i.Unique, i.Primary, i.Immediate, i.Valid, i.Partial, i.Exclusion, len(i.Keys))
		}
	}
	for _, k := range c.Constraints {
		if t := c.ByOID(k.Table); t != nil && p.moving(t.Name.Schema) {
			all[pg.Name{Schema: t.Name.Schema, Name: t.Name.Name + "." + k.Name}] = fmt.Sprint(k.Kind, k.Validated, k.Definition)
		}
	}
	for _, t := range c.Types {
		if p.moving(t.Name.Schema) && !t.Extension && (t.Kind == "e" || t.Kind == "d") {
			all[t.Name] = t.Kind // labels that migrations behind the fence add are in the first database only
		}
	}
	for _, s := range c.Sequences {
		if p.moving(s.Name.Schema) && !s.Extension {
			all[s.Name] = s.Definition
		}
	}
	for _, f := range c.Functions {
		if p.moving(f.Name.Schema) && !f.Extension {
			all[pg.Name{Schema: f.Name.Schema, Name: f.Name.Name + f.Arguments}] = f.Body
		}
	}
	return all
}

// compareSequences: what the migrations set, they set whatever the rows are, and
// what they draw they draw for columns that are known to be filled so.
func (p *proof) compareSequences() {
	for _, s := range p.after.Sequences {
		ours := p.expected(s.Name)
		if !p.moving(s.Name.Schema) || s.Extension || ours == nil || ours.LastValue == s.LastValue && ours.IsCalled == s.IsCalled || p.draws(ours) {
			continue
		}
		p.decided(s.Name, fmt.Sprintf("the plan has this sequence at %s, they leave it at %s", position(ours), position(s)))
	}
}

// expected is where a sequence will stand, as far as the migrations decide it.
func (p *proof) expected(name pg.Name) *catalog.Sequence {
	s := p.draft.after.SequenceNamed(name)
	i := slices.IndexFunc(p.plan.Sequences, func(q plans.Sequence) bool { return q.Shadow == p.shadowName(name) })
	if s == nil || i < 0 || !p.plan.Sequences[i].Set {
		return s
	}
	return &catalog.Sequence{Name: name, Table: s.Table, Column: s.Column, LastValue: p.plan.Sequences[i].LastValue, IsCalled: p.plan.Sequences[i].IsCalled}
}

func position(s *catalog.Sequence) string {
	if s.IsCalled {
		return fmt.Sprint(s.LastValue)
	}
	return fmt.Sprintf("%d, not drawn yet", s.LastValue)
}

// draws: some column of the shadow is filled from the sequence, row by row: one
// that is its own, which the swap sets past the column's values, or one of
// production's, which is drawn from when the shadow is filled, too.
func (p *proof) draws(s *catalog.Sequence) bool {
	return slices.ContainsFunc(p.plan.Tables, func(t plans.Table) bool {
		after := p.draft.after.ByName(t.Final)
		return after != nil && slices.ContainsFunc(t.Columns, func(c plans.Column) bool {
			a, _ := after.ColumnNamed(c.Shadow)
			return c.Volatile && (strings.Contains(a.Default, "."+s.Name.Name+"'") || strings.Contains(a.Default, "."+pg.Ident(s.Name.Name)+"'") || s.Table == after.OID && s.Column == a.Num)
		})
	})
}
