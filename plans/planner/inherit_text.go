package planner

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// inheritedTable is one table of an INHERITS family, with its entry's text taken apart.
type inheritedTable struct {
	entry    pgdump.Entry
	text     pgdump.CreateTable
	name     string // as the text spells it
	parents  []*inheritedTable
	children []*inheritedTable
	want     []string          // columns in their true order
	own      map[string]string // definitions that the text has, by column
	checks   []string
	tail     string // what follows the columns: INHERITS, options, owner
	have     int    // how many of want there are
	made     bool
	after    []string          // statements that follow its entry
	adding   bool              // a column is being added: asked again, there is no order
	later    []*inheritedTable // parents that it was tied to later
	links    []string          // how
}

// newInheritedTable takes an entry's text apart; nil if it is not as expected.
func newInheritedTable(e pgdump.Entry, t *catalog.Table) *inheritedTable {
	text, ok := pgdump.ParseTable(e.SQL)
	if !ok {
		return nil
	}
	h := &inheritedTable{entry: e, text: text, name: text.Name, own: map[string]string{}, tail: text.Tail}
	for _, c := range t.Columns {
		h.want = append(h.want, c.Name)
	}
	for _, item := range text.Items {
		column, named := item[0].Name()
		switch {
		case item[0].Is("CONSTRAINT"), item[0].Is("CHECK"):
			h.checks = append(h.checks, pgdump.Text(e.SQL, item))
		case named && slices.Contains(h.want, column):
			h.own[column] = pgdump.Text(e.SQL, item)
		default:
			return nil
		}
	}
	return h
}

// detach: a table whose first inherited columns are its own, too, was a table by
// itself until ALTER TABLE … INHERIT tied it to its parents, and its columns
// come in any order. Its text leaves out NOT NULL where a parent has it,
// and says DEFAULT NULL where only a parent has a default.
func (h *inheritedTable) detach(t *catalog.Table) {
	if len(h.parents) == 0 || !h.misplaced() || len(h.inherited(func(p *inheritedTable) []string { return p.before(h) })) == 0 {
		return
	}
	h.tail = h.text.WithoutParents()
	for _, c := range t.Columns {
		if item, own := h.own[c.Name]; own {
			h.own[c.Name] = strings.TrimSuffix(item, " DEFAULT NULL")
		}
		if c.NotNull && h.own[c.Name] != "" && !strings.HasSuffix(h.own[c.Name], " NOT NULL") {
			h.links = append(h.links, "ALTER TABLE ONLY "+h.name+" ALTER COLUMN "+pg.Ident(c.Name)+" SET NOT NULL;")
		}
	}
	for _, p := range h.parents {
		h.links = append(h.links, "ALTER TABLE "+h.name+" INHERIT "+p.name+";")
	}
	h.parents, h.later = nil, h.parents
}

// create writes the CREATE TABLE with the columns there are so far. CHECKs of
// others come with those.
func (h *inheritedTable) create() {
	var items []string
	for _, c := range h.present() {
		if item, own := h.own[c]; own {
			items = append(items, item)
		}
	}
	if h.have == len(h.want) {
		items = append(items, h.checks...)
		h.checks = nil
	}
	h.entry.SQL = h.text.Head + "(\n    " + strings.Join(items, ",\n    ") + "\n" + h.tail
}
