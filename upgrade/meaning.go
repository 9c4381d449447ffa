package upgrade

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// What a transform gives depends on more than its text and the row: on functions,
// operators, casts and types, wherever its search_path finds them. Rows that were
// replayed while a function was another one stay as it made them, and their proof said
// that they were equal, since it called the same function. So a proof counts as long as
// all of that is what it was, to the transaction that wrote it: a function that was
// replaced and put back is another one.

// expressionsChanged is why tables are proved anew.
const expressionsChanged = "functions, operators, casts or types that expressions may use were made or changed since it was proved"

// compareMeaning takes the proofs of tables back that are filled by expressions, if what
// these may use is not what it was when their proofs began.
func (w *worker) compareMeaning(ctx context.Context, signature string) error {
	now := conditions.Meaning(signature)
	proved, err := control.Meaning(ctx, w.sides.Production, w.run)
	if err != nil || proved == now {
		return err
	}
	if proved != "" {
		w.log.Warn("what expressions may use has changed; tables that they fill are proved anew")
		defer w.pauseProver()()
		for i := range w.run.Plan.Tables {
			if t := &w.run.Plan.Tables[i]; t.Verifiable() && w.computed(t) {
				if err := control.ClearProof(ctx, w.sides, w.run, control.Doubt{N: t.N, Why: expressionsChanged}); err != nil {
					return err
				}
			}
		}
	}
	return control.NoteMeaning(ctx, w.sides.Production, w.run, now)
}

// beginProving notes what expressions may use, before the first proof.
func (w *worker) beginProving(ctx context.Context) error {
	signature, err := w.schemasSignature(ctx, w.sides.Production)
	if err != nil {
		return fmt.Errorf("before tables are proved: %w", err)
	}
	return w.compareMeaning(ctx, signature)
}

// computed: some value of the table is not just that of a column of production's.
func (w *worker) computed(t *plans.Table) bool {
	if t.Feed != plans.Copied || t.Where != "" || len(t.Watches) > 0 {
		return true
	}
	as := map[string]string{}
	for _, c := range w.run.Plan.Sources[t.Source].Columns {
		as[pg.Ident(c.Name)] = c.Type
	}
	for _, c := range t.Columns {
		if !c.Generated && !c.Volatile && as[c.Expression] != c.Type {
			return true
		}
	}
	return false
}
