package plans

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// CarriedFrom names the source's table and its columns that columns of a table are
// filled with as they are, whatever the plan's direction; false: some are not. shadow
// is that table by its [Table.Shadow].
func (p *Plan) CarriedFrom(shadow pg.Name, columns []string) (table pg.Name, names []string, ok bool) {
	t := p.TableOf(shadow)
	if t == nil || t.Feed != Copied {
		return table, nil, false
	}
	src := &p.Sources[t.Source]
	for _, name := range columns {
		c := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Shadow == name })
		if c < 0 {
			return table, nil, false
		}
		from := slices.IndexFunc(src.Columns, func(s SourceColumn) bool { return carries(s.Name, &t.Columns[c]) })
		if from < 0 {
			return table, nil, false
		}
		names = append(names, src.Columns[from].Name)
	}
	return src.Name, names, true
}

// FillsItself reports whether no row that comes to a table brings a value for the column:
// the column's default makes those of new rows, or no row comes. shadow is the table by its
// [Table.Shadow].
func (p *Plan) FillsItself(shadow pg.Name, column string) bool {
	return !p.TableOf(shadow).fed() || p.DefaultFills(shadow, column)
}

// DefaultFills reports whether rows come to a table for which the column's default makes
// the value.
func (p *Plan) DefaultFills(shadow pg.Name, column string) bool {
	t := p.TableOf(shadow)
	if !t.fed() {
		return false
	}
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Shadow == column })
	return i < 0 || t.Columns[i].Expression == ""
}

// fed: rows come to the table by copy and replay. nil is one that no plan has.
func (t *Table) fed() bool { return t != nil && (t.Feed == Copied || t.Feed == Derived) }

// carries: what is equal there is equal here. An expression of the way there is spelt by
// PostgreSQL's rules, with quotes where a name needs them; one of the way back always has them.
func carries(name string, c *Column) bool {
	spelt, found := strings.CutPrefix(c.Expression, pg.Ident(name))
	if !found && c.Origin == FromLineage { // a name alone, never current_user
		spelt, found = strings.CutPrefix(c.Expression, name)
	}
	return found && slices.Contains([]string{"", "::smallint", "::integer", "::bigint"}, spelt)
}
