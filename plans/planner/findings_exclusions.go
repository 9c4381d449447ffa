package planner

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// excluded reads the elements of a definition that has nothing but columns.
var (
	excluding = regexp.MustCompile(`^EXCLUDE USING \w+ \((.*)\)$`)
	element   = regexp.MustCompile(`^([\pL_][\pL\pN_$]*|"[^"]+") WITH (=|&&)$`)
)

// exclusions asks of ranges that must not overlap, within equal values of other columns.
// In the order of their beginnings two overlap only if one overlaps the next one: if it
// reaches a later one it reaches what begins in between. Of other operators production
// is not asked.
func (m *draft) exclusions(ctx context.Context, d *tableDraft, t *plans.Table) (all []probe) {
	for _, k := range m.after.Constraints {
		if k.Kind != "x" || k.Table != d.after.OID || slices.ContainsFunc(m.before.Constraints, func(b *catalog.Constraint) bool { return b.OID == k.OID && m.asItWas(k.Table, k.Columns) }) {
			continue
		}
		q := probe{object: t.Final.String() + "." + k.Name, table: t.Production, words: []string{t.Final.Name, "exclude"}, state: pgerrcode.ExclusionViolation}
		if within, ranges, ok := m.excludes(ctx, d, k); ok {
			names := append(slices.Clone(within), ranges)
			if rows, ok := m.rowsOf(t, names); ok {
				partition := ""
				if len(within) > 0 {
					partition = "PARTITION BY " + pg.Idents(within) + " "
				}
				q.sql = fmt.Sprintf("SELECT pgumbra_key FROM (SELECT pgumbra_key, %[1]s && lag(%[1]s) OVER (%[2]sORDER BY %[1]s) AS meets FROM (%[3]s) AS r WHERE %[4]s AND NOT isempty(%[1]s)) AS s WHERE meets LIMIT 1",
					pg.Ident(ranges), partition, rows, allNotNull("", names))
			}
		}
		all = append(all, q)
	}
	return all
}

// excludes are the columns that must be equal, and the one range whose values must not
// overlap then.
func (m *draft) excludes(ctx context.Context, d *tableDraft, k *catalog.Constraint) (within []string, ranges string, ok bool) {
	list := excluding.FindStringSubmatch(k.Definition)
	if list == nil {
		return nil, "", false
	}
	for text := range strings.SplitSeq(list[1], ", ") {
		e := element.FindStringSubmatch(text)
		if e == nil {
			return nil, "", false
		}
		name := strings.Trim(e[1], `"`)
		switch {
		case e[2] == "=":
			within = append(within, name)
		case ranges != "":
			return nil, "", false
		default:
			ranges = name
		}
	}
	a, found := d.after.ColumnNamed(ranges)
	var isRange bool
	if !found || m.scratch.db.QueryRow(ctx, `SELECT typtype = 'r' FROM pg_catalog.pg_type WHERE oid = $1`, a.TypeOID).Scan(&isRange) != nil {
		return nil, "", false
	}
	return within, ranges, isRange
}

// smallestRow is what a row takes of a page at the least, its pointer included.
const smallestRow = 28

// numbers asks whether a new sequence has enough of them for the rows that are there.
func (m *draft) numbers(ctx context.Context, d *tableDraft, t *plans.Table) (all []probe) {
	for _, s := range m.after.Sequences {
		a, found := d.after.Column(s.Column)
		if s.Table != d.after.OID || !found || slices.ContainsFunc(m.before.Sequences, func(b *catalog.Sequence) bool { return b.OID == s.OID }) {
			continue
		}
		i := slices.IndexFunc(t.Columns, func(c plans.Column) bool { return c.Shadow == a.Name })
		var room int64
		err := m.scratch.db.QueryRow(ctx, `SELECT CASE WHEN seqcycle THEN 9223372036854775807
				ELSE least(trunc((CASE WHEN seqincrement > 0 THEN seqmax ELSE seqmin END::numeric - seqstart) / seqincrement) + 1, 9223372036854775807) END::bigint
			FROM pg_catalog.pg_sequence WHERE seqrelid = $1`, s.OID).Scan(&room)
		if err != nil || i < 0 || !t.Columns[i].Volatile || d.source.production.Bytes/smallestRow < room {
			continue
		}
		source := m.plan.Sources[t.Source]
		all = append(all, probe{object: t.Final.String() + "." + a.Name, table: t.Production, words: []string{t.Final.Name, a.Name}, state: pgerrcode.SequenceGeneratorLimitExceeded,
			breaks: fmt.Sprintf("%s has more rows than the sequence of %s has numbers, %d", t.Production, a.Name, room),
			sql:    fmt.Sprintf("SELECT 'all' FROM (SELECT FROM %s OFFSET %d LIMIT 1) AS r", strings.TrimPrefix(strings.TrimSpace(wholeTree(fromText(t), source.Kind)), "FROM "), room)})
	}
	return all
}
