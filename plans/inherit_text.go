package plans

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// heir is one table of an INHERITS family, with its entry's text taken apart.
type heir struct {
	entry    dumpEntry
	name     string // as the text spells it
	parents  []*heir
	children []*heir
	want     []string          // columns in their true order
	own      map[string]string // definitions that the text has, by column
	checks   []string
	tail     string // what follows the columns: INHERITS, options, owner
	have     int    // how many of want there are
	made     bool
	after    []string // statements that follow its entry
	adding   bool     // a column is being added: asked again, there is no order
	later    []*heir  // parents that it was tied to later
	links    []string // how
}

// newHeir takes an entry's text apart; nil if it is not as expected.
func newHeir(e dumpEntry, t *catalog.Table) *heir {
	_, rest, found := strings.Cut(e.sql, "CREATE TABLE ")
	if unlogged := strings.Index(e.sql, "CREATE UNLOGGED TABLE "); unlogged >= 0 {
		_, rest, found = strings.Cut(e.sql, "CREATE UNLOGGED TABLE ")
	}
	name, body, open := strings.Cut(rest, " (")
	if !found || !open {
		return nil
	}
	items, end := splitColumns(body)
	if end < 0 {
		return nil
	}
	h := &heir{entry: e, name: name, own: map[string]string{}, tail: body[end:]}
	for _, c := range t.Columns {
		h.want = append(h.want, c.Name)
	}
	for _, item := range items {
		switch column := leadingName(item); {
		case strings.HasPrefix(item, "CONSTRAINT ") || strings.HasPrefix(item, "CHECK "):
			h.checks = append(h.checks, item)
		case slices.Contains(h.want, column):
			h.own[column] = item
		default:
			return nil
		}
	}
	return h
}

// splitColumns splits what is in the parentheses of a CREATE TABLE, from behind
// the opening one, at its commas; end is where the closing one is.
func splitColumns(body string) (items []string, end int) {
	depth, start := 0, 0
	var quote byte
	for i := range len(body) {
		switch b := body[i]; {
		case quote != 0:
			if b == quote {
				quote = 0
			}
		case b == '\'' || b == '"':
			quote = b
		case b == '(' || b == '[':
			depth++
		case depth > 0 && (b == ')' || b == ']'):
			depth--
		case depth == 0 && (b == ',' || b == ')'):
			if item := strings.TrimSpace(body[start:i]); item != "" {
				items = append(items, item)
			}
			start = i + 1
			if b == ')' {
				return items, i
			}
		}
	}
	return nil, -1
}

func leadingName(item string) string {
	if !strings.HasPrefix(item, `"`) {
		name, _, _ := strings.Cut(item, " ")
		return name
	}
	for i := 1; i < len(item); i++ {
		if item[i] != '"' {
			continue
		}
		if i+1 < len(item) && item[i+1] == '"' {
			i++
			continue
		}
		return strings.ReplaceAll(item[1:i], `""`, `"`)
	}
	return item
}

// detach: a table whose first inherited columns are its own, too, was a table by
// itself until ALTER TABLE … INHERIT tied it to its parents, and its columns
// come in any order. Its text leaves out NOT NULL where a parent has it,
// and says DEFAULT NULL where only a parent has a default.
func (h *heir) detach(t *catalog.Table) {
	if len(h.parents) == 0 || !h.misplaced() || len(h.inherited(func(p *heir) []string { return p.before(h) })) == 0 {
		return
	}
	before, rest, _ := strings.Cut(h.tail, "\nINHERITS (")
	_, end := splitColumns(rest)
	if end < 0 {
		return
	}
	h.tail = before + rest[end+1:]
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
func (h *heir) create() {
	var items []string
	for _, c := range h.present() {
		if item, own := h.own[c]; own {
			items = append(items, item)
		}
	}
	prefix, _, _ := strings.Cut(h.entry.sql, h.name+" (")
	if h.have == len(h.want) {
		items = append(items, h.checks...)
		h.checks = nil
	}
	h.entry.sql = prefix + h.name + " (\n    " + strings.Join(items, ",\n    ") + "\n" + h.tail
}
