package cutover

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// setByMigrations sets a sequence as the migrations do, RESTART WITH 1000, say.
// Where clients have drawn from production's since the plan was made, and its
// next value lies beyond, it goes on from there: these numbers are in use. A
// sequence that the migrations set back is set back: in place they would hand
// out the numbers between again too.
func setByMigrations(s plans.Sequence, production drawn) string {
	return strings.NewReplacer("'{shadow}'", pg.Literal(s.Shadow.Quoted()), "{shadow}", s.Shadow.Quoted(), "{production}", production.values,
		"{last}", bigint(s.LastValue), "{called}", fmt.Sprint(s.IsCalled),
		"{was}", bigint(s.ProductionLast), "{was called}", fmt.Sprint(s.ProductionCalled),
		"{continued}", continued(s, production)).Replace(
		`SELECT CASE WHEN set.next >= was.next AND now.next > set.next AND (p.last_value, p.is_called) <> ({was}, {was called})
            THEN ({continued})
            ELSE pg_catalog.setval('{shadow}'::regclass, CASE WHEN drawn.further THEN s.last_value ELSE {last} END, {called} OR drawn.further) END
FROM {production} p
CROSS JOIN {shadow} s
CROSS JOIN (SELECT seqincrement::numeric AS step, pg_catalog.sign(seqincrement::numeric) AS way FROM pg_catalog.pg_sequence WHERE seqrelid = '{shadow}'::regclass) d
CROSS JOIN LATERAL (SELECT way * ({last} + CASE WHEN {called} THEN step ELSE 0 END)) AS set (next)
CROSS JOIN LATERAL (SELECT way * ({was} + CASE WHEN {was called} THEN step ELSE 0 END)) AS was (next)
CROSS JOIN LATERAL (SELECT way * (p.last_value + CASE WHEN p.is_called THEN step ELSE 0 END)) AS now (next)
CROSS JOIN LATERAL (SELECT s.is_called AND way * (s.last_value + step) >= set.next) AS drawn (further)`)
}
