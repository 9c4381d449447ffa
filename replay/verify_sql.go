package replay

import (
	"fmt"
	"math"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// group is a range of keys, lower < key <= upper, as text; nil: open.
type group struct {
	lower, upper []string
	size         int64
	inline       bool // bounds stand in the text, since COPY takes no parameters
	// pieces: of touched keys, take only those whose hash leaves piece when divided
	// by it; 0: all.
	pieces, piece int64
	touched       string // the group is of keys touched since this snapshot
}

// bound is the i-th of args as it stands in the text.
func (g group) bound(i int) string {
	if !g.inline {
		return fmt.Sprintf("$%d", i)
	}
	return pg.Literal(append(append([]string{}, g.lower...), g.upper...)[i-1])
}

// args of a group's statements: its bounds, in this order.
func (g group) args() []any {
	var all []any
	for _, v := range append(append([]string{}, g.lower...), g.upper...) {
		all = append(all, v)
	}
	return all
}

// ranged reports whether the shadow orders its keys as production does: each
// key column carried as it is, in a type of the same order.
func (f *applier) ranged() bool {
	if f.kind() != keyed {
		return false
	}
	for _, k := range f.src.Key {
		if !f.sameInShadow(k) {
			return false
		}
	}
	return len(f.src.Key) > 0
}

// sameInShadow reports whether the shadow has and compares a key column as production
// does.
func (f *applier) sameInShadow(k plans.KeyColumn) bool {
	p, _ := f.pair(k.Name)
	return f.carried(p.Expression, k.Name) && sameOrder(k.Type, p.Type) && plain(k.Collation) == plain(f.collations[p.Shadow])
}

// sameOrder reports whether a cast to another type keeps apart and in order
// what it is given: integers of all widths, texts that are not shortened
// (assignment to varchar(n) drops blanks that are too many).
func sameOrder(from, to string) bool {
	if from == to || integer(from) && integer(to) {
		return true
	}
	wide, narrow := textLimit(to), textLimit(from)
	return narrow > 0 && wide >= narrow
}

// textLimit is how many characters a text type holds; 0: it is none.
func textLimit(sqlType string) int {
	if sqlType == "text" || sqlType == "character varying" {
		return math.MaxInt
	}
	var n int
	if _, err := fmt.Sscanf(sqlType, "character varying(%d)", &n); err != nil {
		return 0
	}
	return n
}

func plain(quoted string) string { return strings.ReplaceAll(quoted, `"`, "") }

// carried reports whether an expression is a column as it is.
func (f *applier) carried(expr, column string) bool {
	for _, table := range []string{"", f.base() + ".", f.alias() + "."} {
		if expr == table+pg.Ident(column) || expr == table+column && strings.ToLower(column) == column {
			return true
		}
	}
	return false
}

// within is the condition that a row's key is in the group.
func (f *applier) within(g group, column func(i int) string, cast func(i int) string) string {
	n := len(f.src.Key)
	compare := func(op string, first int) string {
		return fmt.Sprintf("ROW(%s) %s ROW(%s)", list(n, column), op,
			list(n, func(i int) string { return g.bound(first+i) + "::text::" + cast(i) }))
	}
	var parts []string
	if g.lower != nil {
		parts = append(parts, compare(">", 1))
	}
	if g.upper != nil {
		parts = append(parts, compare("<=", 1+len(g.lower)))
	}
	return strings.Join(parts, " AND ")
}

func (f *applier) productionWithin(g group) string {
	if g.lower == nil && g.upper == nil {
		return ""
	}
	return f.within(g, f.productionKey, func(i int) string {
		return collate(f.src.Key[i].Type, f.src.Key[i].Collation)
	})
}

func (f *applier) productionKey(i int) string { return f.alias() + "." + pg.Ident(f.src.Key[i].Name) }

func (f *applier) shadowWithin(g group) string {
	if g.lower == nil && g.upper == nil {
		return ""
	}
	pairs := f.pairs()
	return f.within(g, func(i int) string { return "s." + pg.Ident(pairs[i].Shadow) }, func(i int) string {
		return collate(pairs[i].Type, f.collations[pairs[i].Shadow])
	})
}

// boundSQL makes text of the one key that it finds, not of all that it passes.
func (f *applier) boundSQL(g group) string {
	n := len(f.src.Key)
	return fmt.Sprintf("SELECT ARRAY[%s] FROM (SELECT %s FROM %s%s ORDER BY %s OFFSET %d LIMIT 1) AS b",
		list(n, func(i int) string { return "b." + f.k(i) + "::text" }),
		list(n, func(i int) string { return f.productionKey(i) + " AS " + f.k(i) }),
		f.whole(), where(f.productionWithin(g)), list(n, f.productionKey), g.size-1)
}

// sumOf digests is one side of a comparison.
func sumOf(digest string) string {
	return "SELECT count(*), COALESCE(sum(" + digest + "), 0)::text"
}

func (f *applier) productionSums(g group) string {
	return fmt.Sprintf("%s FROM %s%s", sumOf(f.digest()), f.whole(), where(f.and(f.productionWithin(g))))
}

func (f *applier) shadowSums(g group) string {
	return fmt.Sprintf("%s FROM %s", sumOf(f.shadowDigest("s")), f.shadowRowsWithin(g))
}

// shown bounds the text of one row in a difference.
const shown = 4000

func (f *applier) differencesSQL(g group) string {
	if f.byImage() {
		return f.multisetDifferences()
	}
	return f.differing(f.images(g), f.shadowRowsWithin(g))
}

// differing compares images of production's with rows s of the shadow's, by key.
// Both stand after FROM.
func (f *applier) differing(images, shadowRows string) string {
	pairs := f.pairs()
	n := len(pairs)
	return fmt.Sprintf("SELECT %s, left(p.image, %d), left(s.image, %[2]d) FROM %s AS p"+
		" FULL JOIN (SELECT %s, %s AS image FROM %s) AS s ON %s WHERE p.image IS DISTINCT FROM s.image ORDER BY %s LIMIT %d",
		named(n, func(i int) string { return pairs[i].Shadow }, func(i int) string { return fmt.Sprintf("COALESCE(p.%s, s.%[1]s)", f.k(i)) }), shown, images,
		list(n, func(i int) string { return "s." + pg.Ident(pairs[i].Shadow) + " AS " + f.k(i) }), f.provedImage("s"), shadowRows,
		both(n, func(i int) string { return fmt.Sprintf("p.%s %s s.%[1]s", f.k(i), pairs[i].Equals) }),
		list(n, func(i int) string { return fmt.Sprintf("COALESCE(p.%s, s.%[1]s)", f.k(i)) }), differences)
}

// byImage reports whether rows are told apart by their content alone.
func (f *applier) byImage() bool { return len(f.pairs()) == 0 || f.kind() == keyless }

// images of production's rows of a group: by key, or how many there are of each.
// It stands after FROM.
func (f *applier) images(g group) string {
	if f.onShadow {
		return f.receivedSet("images", f.imageTypes())
	}
	return "(" + f.selectImages(g) + ")"
}

func (f *applier) selectImages(g group) string {
	if f.byImage() {
		return fmt.Sprintf("SELECT i.image, count(*) AS n FROM (SELECT %s AS image FROM %s%s) AS i GROUP BY i.image",
			f.image(), f.whole(), where(f.and("")))
	}
	return fmt.Sprintf("SELECT %s, %s AS image FROM %s%s",
		list(len(f.pairs()), func(i int) string { return f.keyValue(i) + " AS " + f.k(i) }), f.image(), f.whole(), where(f.and(f.withinIfRanged(g))))
}

// imageSet is what differencesSQL reads.
func (f *applier) imageSet(g group) set {
	g.inline = true
	return set{"images", f.imageTypes(), f.selectImages(g)}
}

func (f *applier) imageTypes() []pg.ColumnType {
	if f.byImage() {
		return []pg.ColumnType{textColumn("image"), countColumn("n")}
	}
	return append(f.keyTypes(f.k), textColumn("image"))
}

func (f *applier) withinIfRanged(g group) string {
	if f.src == nil {
		return ""
	}
	return f.productionWithin(g)
}

// multisetDifferences compares how often rows are there. Of those that are not the
// table's own the shadow may have more.
func (f *applier) multisetDifferences() string {
	own := "true"
	if f.t.Own != "" {
		own = f.isOwn()
	}
	return fmt.Sprintf("SELECT COALESCE(p.n, 0) || ' in production, ' || COALESCE(s.n, 0) || ' in the shadow', left(p.image, %d), left(s.image, %[1]d)"+
		" FROM %s AS p"+
		" FULL JOIN (SELECT i.image, count(*) AS n, count(*) FILTER (WHERE i.own) AS own FROM (SELECT %s AS image, %s AS own FROM %s AS s%s) AS i GROUP BY i.image) AS s ON p.image = s.image"+
		" WHERE COALESCE(p.n, 0) NOT BETWEEN COALESCE(s.own, 0) AND COALESCE(s.n, 0) ORDER BY COALESCE(p.image, s.image) LIMIT %d",
		shown, f.images(group{}), f.provedImage("s"), own, f.shadow(), where(f.unnoted("")), differences)
}
