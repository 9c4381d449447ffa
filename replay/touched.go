package replay

import (
	"context"
	"fmt"
	"math/big"
	"strings"

	"github.com/jackc/pgx/v5"
)

// sums of one side of a comparison. Of two sets of which one holds the other they
// tell by subtraction what the rest is.
type sums struct {
	rows   int64
	digest *big.Int
}

func (s sums) minus(other sums) sums {
	return sums{s.rows - other.rows, new(big.Int).Sub(s.digest, other.digest)}
}

func (s sums) equal(other sums) bool { return s.rows == other.rows && s.digest.Cmp(other.digest) == 0 }

// both sides of a comparison.
type comparison struct{ production, shadow sums }

func (c comparison) equal() bool { return c.production.equal(c.shadow) }

func (c comparison) minus(other comparison) comparison {
	return comparison{c.production.minus(other.production), c.shadow.minus(other.shadow)}
}

func nothing() comparison {
	return comparison{sums{0, new(big.Int)}, sums{0, new(big.Int)}}
}

// sumUp compares all rows of a group.
func (f *applier) sumUp(ctx context.Context, e ends, g group) (comparison, error) {
	taken := f.takenSets(g)
	if f.byImage() { // sums are of the table's own rows: see differences
		taken = nil
	}
	if err := f.stage(ctx, e, anyWay, taken...); err != nil {
		return comparison{}, err
	}
	c, err := f.sumBoth(ctx, e, statement{sql: f.productionSums(g), args: g.args()}, statement{sql: f.writer(e).shadowSums(g), args: g.args()})
	if err != nil || len(taken) == 0 {
		return c, err
	}
	return c, f.finish(ctx, e, anyWay, nil, taken...)
}

func (f *applier) sumBoth(ctx context.Context, e ends, production, shadow statement) (c comparison, err error) {
	err = e.both(
		func() (err error) { c.production, err = f.sum(ctx, e.production, production); return err },
		func() (err error) { c.shadow, err = f.sum(ctx, e.shadow, shadow); return err })
	return c, err
}

func (f *applier) sum(ctx context.Context, tx pgx.Tx, s statement) (sums, error) {
	var one sums
	var text string
	args := s.args
	if len(args) == 0 { // the text is another each time: nothing to prepare
		args = []any{pgx.QueryExecModeExec}
	}
	if err := tx.QueryRow(ctx, s.sql, args...).Scan(&one.rows, &text); err != nil {
		return one, f.refused(statement{"compare", s.sql, nil}, err)
	}
	var ok bool
	if one.digest, ok = new(big.Int).SetString(text, 10); !ok {
		return one, fmt.Errorf("compare %s: %q is no number", f.t.Shadow, text)
	}
	return one, nil
}

// sumTouched compares the rows of a group that entries unread at a scope's
// position touch, each once, however many entries touch it. What is staged for it
// is gone when it returns.
func (f *applier) sumTouched(ctx context.Context, e ends, s scope, g group) (comparison, error) {
	s.reread, g.inline = true, true
	s.pieces, s.piece = g.pieces, g.piece
	switch f.kind() {
	case derived:
		return f.sumReached(ctx, e, s)
	case keyless:
		return f.sumNet(ctx, e, s)
	}
	keys := f.touchedKeys(s)
	if err := f.stage(ctx, e, byIndex, keys); err != nil {
		return comparison{}, err
	}
	if err := byIndex.setBoth(ctx, e); err != nil {
		return comparison{}, err
	}
	c, err := f.sumBoth(ctx, e, statement{sql: f.productionTouched(s.inlined(), g)}, statement{sql: f.writer(e).shadowTouched(s.inlined(), g)})
	if err != nil {
		return c, err
	}
	if err := anyWay.setBoth(ctx, e); err != nil {
		return c, err
	}
	return c, f.finish(ctx, e, anyWay, nil, keys)
}

// touchedKeys are the shadow's keys of what entries touch.
func (f *applier) touchedKeys(s scope) set {
	return f.keySet("touched", f.selectDistinct(s.inlined()))
}

func (f *applier) selectDistinct(s scope) string {
	return fmt.Sprintf("%s SELECT DISTINCT %s FROM %s", f.touched(s),
		list(len(f.pairs()), func(i int) string { return f.own + "_g." + f.k(i) }), f.touchedShadowKeys())
}

func (f *applier) productionTouched(s scope, g group) string {
	return fmt.Sprintf("%s %s FROM %s%s", f.touched(s), sumOf(f.digest()), f.current(s), where(f.and(f.productionWithin(g))))
}

func (f *applier) shadowTouched(s scope, g group) string {
	return fmt.Sprintf("%s FROM %s", sumOf(f.shadowDigest("s")), f.shadowRows(s, g))
}

// shadowRows are the shadow's rows of touched keys, each once: two keys of
// production's may be one here. It stands after FROM.
func (f *applier) shadowRows(s scope, g group) string {
	condition := f.unnoted(f.sameShadowKey("s", f.own+"_g"))
	if within := f.shadowWithin(g); within != "" {
		condition += " AND " + within
	}
	keys := "(" + f.selectDistinct(s) + ")"
	if f.onShadow {
		keys = f.receivedSet("touched", f.keyTypes(f.k))
	}
	return fmt.Sprintf("%s AS s JOIN %s AS %s_g ON %s", f.shadow(), keys, f.own, condition)
}

// sumReached compares the rows of a derived table that touched values reach.
func (f *applier) sumReached(ctx context.Context, e ends, s scope) (comparison, error) {
	rcs, err := f.reaches(ctx, e, s)
	if err != nil {
		return comparison{}, err
	}
	sets := f.valueSets(s)
	if err := f.stage(ctx, e, anyWay, sets...); err != nil {
		return comparison{}, err
	}
	s = s.inlined()
	c, err := f.sumBoth(ctx, e, statement{sql: f.productionReached(s, rcs)}, statement{sql: f.writer(e).shadowReached(s, rcs)})
	if err != nil {
		return c, err
	}
	return c, f.finish(ctx, e, anyWay, nil, sets...)
}

func (f *applier) productionReached(s scope, rcs []reach) string {
	return "SELECT sum(n)::bigint, sum(h)::text FROM (" + joined(len(f.watches), " UNION ALL ", func(w int) string {
		with, condition := f.withReached(s, w, rcs)
		return fmt.Sprintf("(%sSELECT count(*) AS n, COALESCE(sum(%s), 0) AS h FROM %s%s)", with, f.digest(), f.reachedRows(w, rcs[w]), where(f.and(condition)))
	}) + ") AS i"
}

func (f *applier) shadowReached(s scope, rcs []reach) string {
	var ctes, hits []string
	for w := range f.watches {
		ctes = append(ctes, f.reached(s, w))
		hits = append(hits, fmt.Sprintf("EXISTS (SELECT FROM %s WHERE %s)", f.reachedName(w), f.matches(w, rcs[w], shadowColumn)))
	}
	return fmt.Sprintf("WITH %s %s FROM %s AS s WHERE %s", strings.Join(ctes, ", "), sumOf(f.shadowDigest("s")), f.shadow(), strings.Join(hits, " OR "))
}

// sumNet is what entries of a table without a key come to: so much more has
// production than the shadow.
func (f *applier) sumNet(ctx context.Context, e ends, s scope) (comparison, error) {
	c := nothing()
	var err error
	c.production, err = f.sum(ctx, e.production, statement{sql: fmt.Sprintf(
		"%s SELECT COALESCE(sum(n), 0)::bigint, COALESCE(sum(n::numeric * pg_catalog.hashtextextended(image, 0)), 0)::text FROM %s_n", f.net(s.inlined()), f.own)})
	return c, err
}

// touchedDifferences shows where the rows of touched keys differ, when nothing is
// pending.
func (f *applier) touchedDifferences(ctx context.Context, e ends, s scope, g group) ([]Difference, error) {
	s.reread, g.inline = true, true
	s.pieces, s.piece = g.pieces, g.piece
	s = s.inlined()
	images := set{"images", f.imageTypes(), fmt.Sprintf("%s SELECT %s, %s AS image FROM %s%s", f.touched(s),
		list(len(f.pairs()), func(i int) string { return f.keyValue(i) + " AS " + f.k(i) }), f.image(), f.current(s), where(f.and(f.productionWithin(g))))}
	sets := []set{images, f.touchedKeys(s)}
	if err := f.stage(ctx, e, anyWay, sets...); err != nil {
		return nil, err
	}
	w, from := f.writer(e), "("+images.query+")"
	if w.onShadow {
		from = w.receivedSet("images", w.imageTypes())
	}
	return f.collect(ctx, e, w.differing(from, w.shadowRows(s, g)), nil, sets...)
}
