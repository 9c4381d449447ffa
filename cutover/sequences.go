package cutover

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// sequenceStatements set the sequences that the shadow has of its own. setval
// is not undone by a rollback, which does no harm: they are the shadow's, and
// each attempt computes them again.
func sequenceStatements(plan *plans.Plan, production func(plans.Sequence) drawn) []string {
	var all []string
	for _, s := range plan.Sequences {
		switch {
		case s.Production.IsZero():
			all = append(all, ownSequence(s))
		case s.Set:
			all = append(all, setByMigrations(s, production(s)))
		default:
			all = append(all, continued(s, production(s)))
		}
	}
	return all
}

// drawn is where a sequence of production's stands, as SQL text: values is a
// relation with last_value and is_called, cache one with seqcache.
type drawn struct{ values, cache string }

// drawnHere is read in the statement itself.
func drawnHere(s plans.Sequence) drawn {
	return drawn{values: s.Production.Quoted(),
		cache: "(SELECT seqcache FROM pg_catalog.pg_sequence WHERE seqrelid = " + pg.Literal(s.Production.Quoted()) + "::regclass)"}
}

// drawnElsewhere reads all of them in production, for a shadow in another
// database.
func drawnElsewhere(ctx context.Context, db pg.Querier, plan *plans.Plan) (map[pg.Name]drawn, error) {
	var selects []string
	for i, s := range plan.Sequences {
		if !s.Production.IsZero() {
			selects = append(selects, fmt.Sprintf(`SELECT %d, s.last_value, s.is_called, c.seqcache FROM %s s CROSS JOIN %s c`,
				i, s.Production.Quoted(), drawnHere(s).cache))
		}
	}
	all := map[pg.Name]drawn{}
	if len(selects) == 0 {
		return all, nil
	}
	rows, err := db.Query(ctx, strings.Join(selects, " UNION ALL "))
	if err != nil {
		return nil, fmt.Errorf("read production's sequences: %w", err)
	}
	var i, last, cache int64
	var called bool
	_, err = pgx.ForEachRow(rows, []any{&i, &last, &called, &cache}, func() error {
		all[plan.Sequences[i].Production] = drawn{values: fmt.Sprintf("(SELECT %d::bigint AS last_value, %t AS is_called)", last, called),
			cache: fmt.Sprintf("(SELECT %d::bigint AS seqcache)", cache)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read production's sequences: %w", err)
	}
	return all, nil
}

// Calls that the margin leaves room for: nextval by itself does not wait for
// the fence, so a client may draw numbers from the old sequence until the swap
// and use them after it. A call may take a cacheful.
const marginCalls = 100

// continued goes on where production's sequence stands, plus a margin in the
// direction of the increment: at most a hundredth of what is left, never past
// the limit. One that was never used stays so.
func continued(s plans.Sequence, production drawn) string {
	return strings.NewReplacer("'{shadow}'", pg.Literal(s.Shadow.Quoted()), "{shadow}", s.Shadow.Quoted(), "{production}", production.values, "{cache}", production.cache, "{margin}", fmt.Sprint(marginCalls)).Replace(
		`SELECT pg_catalog.setval(seqrelid::regclass, target::bigint, called) FROM (
    SELECT d.seqrelid, called,
           CASE WHEN NOT called THEN least(greatest(p.last_value, d.seqmin), d.seqmax)
                WHEN d.seqincrement > 0 THEN greatest(least(p.last_value + step, d.seqmax), CASE WHEN s.is_called THEN s.last_value END, d.seqmin)
                ELSE least(greatest(p.last_value - step, d.seqmin), CASE WHEN s.is_called THEN s.last_value END, d.seqmax) END AS target
    FROM {production} p
    CROSS JOIN {shadow} s
    CROSS JOIN LATERAL (SELECT p.is_called OR s.is_called) c (called)
    CROSS JOIN {cache} pc
    CROSS JOIN (SELECT seqrelid, seqincrement, seqmin::numeric, seqmax::numeric FROM pg_catalog.pg_sequence WHERE seqrelid = '{shadow}'::regclass) d
    CROSS JOIN LATERAL (SELECT CASE WHEN NOT p.is_called THEN 0 ELSE pg_catalog.abs(d.seqincrement::numeric) * least({margin} * pc.seqcache,
        pg_catalog.div(CASE WHEN d.seqincrement > 0 THEN greatest(d.seqmax - p.last_value, 0) ELSE greatest(p.last_value - d.seqmin, 0) END,
        100 * pg_catalog.abs(d.seqincrement::numeric))) END) m (step)
) t`)
}

// ownSequence stands at the furthest of: where the migrations left it, where
// the copy's own defaults drove it, and its column's values.
func ownSequence(s plans.Sequence) string {
	column := "SELECT NULL::numeric, NULL::numeric"
	if !s.Table.IsZero() && s.Column != "" {
		column = fmt.Sprintf("SELECT (SELECT max(%[1]s)::numeric FROM %[2]s), (SELECT min(%[1]s)::numeric FROM %[2]s)",
			pg.Ident(s.Column), s.Table.Quoted())
	}
	return strings.NewReplacer("'{shadow}'", pg.Literal(s.Shadow.Quoted()), "{shadow}", s.Shadow.Quoted(), "{column}", column, "{left}", bigint(s.LastValue), "{called}", fmt.Sprint(s.IsCalled)).Replace(
		`SELECT CASE WHEN target IS NULL OR pg_catalog.sign(seqincrement::numeric) * ({left} - target) >= CASE WHEN {called} THEN 0 ELSE 1 END
             THEN pg_catalog.setval(seqrelid::regclass, {left}, {called})
             ELSE pg_catalog.setval(seqrelid::regclass, least(greatest(target, seqmin), seqmax)::bigint, true) END FROM (
    SELECT d.seqrelid, d.seqincrement, d.seqmin, d.seqmax,
           CASE WHEN d.seqincrement > 0 THEN greatest(CASE WHEN s.is_called THEN s.last_value END, v.high)
                ELSE least(CASE WHEN s.is_called THEN s.last_value END, v.low) END AS target
    FROM {shadow} s
    CROSS JOIN (SELECT seqrelid, seqincrement, seqmin, seqmax FROM pg_catalog.pg_sequence WHERE seqrelid = '{shadow}'::regclass) d
    CROSS JOIN ({column}) v (high, low)
) t`)
}

// bigint is a number as SQL text; the least one has no literal of its own.
func bigint(n int64) string { return fmt.Sprintf("'%d'::bigint", n) }
