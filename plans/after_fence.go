package plans

import (
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// AfterFence is what migrations behind the fence make of a table of the shadow, as
// they made it in scratch. A table that has none is what it was built as.
type AfterFence struct {
	N     int     `json:"n"` // index in Plan.Tables
	Final pg.Name `json:"final"`
	// Columns are those that were there before, and those that rows go back by. The swap
	// makes sure that they are there: what reads rows to decide may make others here.
	Columns []SourceColumn `json:"columns"`
	// Renamed are the names that columns have then, by those that they were built
	// with. What is not among them is gone, or holds values of another type.
	Renamed map[string]string `json:"renamed"`
	// Reverse is [Table.Reverse] over the row as it is then.
	Reverse []Column `json:"reverse,omitempty"`
	// Why its rows do not go back; empty: they do.
	Why string `json:"why,omitempty"`
	// Writes names a statement that may write its rows in columns that go back. Old
	// rows keep what they had of these until a client changes the new ones. Empty: none.
	Writes string `json:"writes,omitempty"`
}

// Renaming is a sequence or a materialized view, by its name after a swap without
// migrations behind the fence, that these rename or drop (To is zero).
type Renaming struct {
	From pg.Name `json:"from"`
	To   pg.Name `json:"to"`
}

// AfterFence is what migrations behind the fence make of a table; nil: nothing, or
// none run there.
func (p *Plan) AfterFence(t *Table) *AfterFence {
	if p.Behind == nil {
		return nil
	}
	i := slices.IndexFunc(p.Behind.Tables, func(a AfterFence) bool { return a.N == t.N })
	if i < 0 {
		return nil
	}
	return &p.Behind.Tables[i]
}

// CapturedFromSwap reports whether a table of the shadow is captured from the swap on:
// what has nowhere to go back to is not.
func (p *Plan) CapturedFromSwap(t *Table) bool {
	a := p.AfterFence(t)
	return t.Captured() && (a == nil || a.Why == "")
}

// FinalName is what a relation of the shadow is called from the swap on, the migrations
// behind the fence included.
func (p *Plan) FinalName(shadow pg.Name) pg.Name {
	if t := p.TableOf(shadow); t != nil {
		return p.FinalTable(t).Final
	}
	return p.Final(shadow)
}

// FinalTable is a table as clients know it from the swap on, the migrations behind the
// fence included.
func (p *Plan) FinalTable(t *Table) Table {
	final := *t
	a := p.AfterFence(t)
	if a == nil {
		return final
	}
	final.Final, final.Columns, final.Key, final.Reverse = a.Final, nil, slices.Clone(t.Key), a.Reverse
	if a.Why != "" {
		final.Reverse = nil
	}
	for _, c := range t.Columns {
		if now, there := a.Renamed[c.Shadow]; there {
			c.Shadow = now
			final.Columns = append(final.Columns, c)
		}
	}
	for i := range final.Key {
		if now, there := a.Renamed[final.Key[i].Shadow]; there {
			final.Key[i].Shadow = now
		}
	}
	return final
}

// afterFence is the plan with its tables as they are after the migrations behind the
// fence.
func (p *Plan) afterFence() *Plan {
	if p.Behind == nil {
		return p
	}
	final := *p
	final.Tables = make([]Table, len(p.Tables))
	for i := range p.Tables {
		final.Tables[i] = p.FinalTable(&p.Tables[i])
	}
	return &final
}

// finalObject is the name of a sequence or a materialized view from the swap on; zero: it
// is gone then.
func (p *Plan) finalObject(shadow pg.Name) pg.Name {
	name := p.Final(shadow)
	if p.Behind == nil {
		return name
	}
	for _, r := range p.Behind.Renamed {
		if r.From == name {
			return r.To
		}
	}
	return name
}

// ChangedBehind are the tables whose rows go back although migrations behind the fence
// may have written them: what these made of rows stays in the new tables.
func (p *Plan) ChangedBehind() (all []AfterFence) {
	if p.Behind == nil {
		return nil
	}
	for _, a := range p.Behind.Tables {
		if a.Why == "" && a.Writes != "" {
			all = append(all, a)
		}
	}
	return all
}
