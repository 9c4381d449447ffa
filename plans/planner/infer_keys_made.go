package planner

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// madeKeys is where the numbers of entries begin that pg_dump knows nothing of:
// two for each table whose key's index is made for the run alone.
const madeKeys = -1_000_000

// indexable: a B-tree takes the key's columns. Production's own key has one over
// the same values, and types that others were cast to have theirs.
func (m *keying) indexable(d *tableDraft) bool {
	if d.plan.Feed != plans.Copied {
		return false
	}
	for _, p := range d.plan.Key {
		from, _ := d.source.production.ColumnNamed(p.Production)
		to, _ := d.after.ColumnNamed(p.Shadow)
		if plainReference(p.Expression) == "" || from.Type != to.Type && m.typeEquals[to.TypeOID] == "" {
			return false
		}
	}
	return true
}

// makeKeyIndexes gives an index to the keys that no index of the upgraded table
// serves (it was partitioned, say, and its primary key begins with another
// column). It stands while the run follows, and the swap drops it.
func (m *lineage) makeKeyIndexes() {
	for i, d := range m.tables {
		if !d.makesKey {
			continue
		}
		t := &m.plan.Tables[i]
		name := pg.Name{Schema: t.Shadow.Schema, Name: fmt.Sprintf("pgumbra_key_%d", t.N)}
		t.KeyIndex = madeKeys - 2*t.N
		m.plan.Entries = append(m.plan.Entries,
			plans.Entry{TOC: t.KeyIndex, Tag: "INDEX", Name: name, Table: t.Shadow, Root: t.Shadow, Stage: plans.StageKey,
				SQL: fmt.Sprintf("CREATE INDEX %s ON %s USING btree (%s);", pg.Ident(name.Name), t.Shadow.Quoted(), pg.Idents(shadowColumns(t.Key)))},
			plans.Entry{TOC: t.KeyIndex - 1, Tag: "DROP INDEX", Name: name, Table: t.Shadow, Root: t.Shadow, Stage: plans.StageSwap,
				SQL: "DROP INDEX " + name.Quoted() + ";"})
	}
}

// noKeyIndex says what is done for a key that no index serves.
func (m *keying) noKeyIndex(d *tableDraft) {
	columns := strings.Join(shadowColumns(d.plan.Key), ", ")
	d.makesKey = m.indexable(d)
	if d.makesKey {
		m.info("key-index-made", d.after.Name.String(), "the upgraded table has no index on the columns of the key ("+columns+"): one stands while the run follows, and is dropped in the cutover", "")
		return
	}
	m.warning("no-key-index", d.after.Name.String(), "the upgraded table has no index on the columns of the key: each batch reads it whole", "keep an index on "+columns)
}
