package plans

import (
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// BackQuery is how rows of a production table come back that the migrations divided among
// several tables, or put into one with those of others: a query over the upgraded tables,
// as they are called while the shadow is built. Replay refreshes the old rows that a
// change reaches, as it does those of a derived table on the way there.
type BackQuery struct {
	From string `json:"from"`
	// Watches are how changes of the upgraded tables, by their indexes in Plan.Tables,
	// reach the old rows.
	Watches []Watch `json:"watches"`
	// Columns are the old table's. One that the query does not give is Kept.
	Columns []Column `json:"columns"`
}

// wayBackByQuery is a production table as a table of the way back, of a query over the
// new ones.
func (p *Plan) wayBackByQuery(n int, s *Source) Table {
	back := Table{N: n, Shadow: p.Old(s.Name), Final: s.Name, Feed: Derived, Kind: s.Kind, Source: -1, Unlogged: s.Unlogged,
		From: p.AfterSwap(s.Back.From, ""), Watches: s.Back.Watches, Columns: slices.Clone(s.Back.Columns), Key: []Pair{}, Reverse: []Column{}}
	for _, w := range s.Back.Watches {
		if back.Production.IsZero() {
			back.Production = p.Tables[w.Source].Final
		}
	}
	for i := range back.Columns {
		c := &back.Columns[i]
		c.Type = p.AfterSwap(c.Type, "")
		c.Volatile = !c.Generated && c.Expression == ""
	}
	for _, k := range s.Key {
		back.Key = append(back.Key, Pair{Shadow: k.Name, Expression: pg.Ident(k.Name), Type: p.AfterSwap(k.Type, ""), Equals: k.Equals})
	}
	return back
}

// trackedBack are the columns of an upgraded table, beside its key, through which its
// changes reach old rows.
func (p *Plan) trackedBack(t *Table) (names []string) {
	for _, s := range p.Sources {
		if s.Back == nil {
			continue
		}
		for _, w := range s.Back.Watches {
			for _, c := range w.Columns {
				if w.Source == t.N && !t.keyed(c.Column) && !slices.Contains(names, c.Column) {
					names = append(names, c.Column)
				}
			}
		}
	}
	return names
}
