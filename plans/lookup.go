package plans

import "github.com/pgumbra/pgumbra/internal/pg"

// SchemaFor finds the schema with a production name.
func (p *Plan) SchemaFor(production string) (Schema, bool) {
	for _, s := range p.Schemas {
		if s.Production == production {
			return s, true
		}
	}
	return Schema{}, false
}

// Old is where a production object's name leads after the swap.
func (p *Plan) Old(n pg.Name) pg.Name {
	if s, ok := p.SchemaFor(n.Schema); ok {
		return pg.Name{Schema: s.Old, Name: n.Name}
	}
	return n
}

// Moves reports whether some schema is swapped object by object.
func (p *Plan) Moves() bool {
	for _, s := range p.Schemas {
		if s.Swap == Move {
			return true
		}
	}
	return false
}

// ReadsFrom reports whether changes of a source reach this table's rows.
func (t *Table) ReadsFrom(source int) bool {
	if t.Source == source {
		return true
	}
	for _, w := range t.Watches {
		if w.Source == source {
			return true
		}
	}
	return false
}

// Verifiable reports whether the table is fed from production, so that there is
// something to compare it with.
func (t *Table) Verifiable() bool { return t.Feed == Copied || t.Feed == Derived }

// Verifiable is [Table.Verifiable] by the shadow table's name as text.
func (p *Plan) Verifiable(shadow string) bool {
	for i := range p.Tables {
		if p.Tables[i].Shadow.String() == shadow {
			return p.Tables[i].Verifiable()
		}
	}
	return false
}
