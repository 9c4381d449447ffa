package upgrade

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/conditions"
	"github.com/pgumbra/pgumbra/plans/planner"
)

// compareEvery is how often the schemas are compared with the plan while following.
const compareEvery = 10 * time.Second

// structure is what is known of the schemas that move, whole: tables, views,
// functions, privileges, comments. The freeze keeps watch over captured tables
// alone, and a table that somebody makes in mid-run would stay behind.
type structure struct {
	signature string // the catalogs' when the schemas were compared
	changes   []string
	looked    time.Time
}

// compareStructure compares the schemas with the plan, if their catalogs have
// another signature than at the last time, and tells what it found: in the log
// and, by the run's events, in status.
func (w *worker) compareStructure(ctx context.Context) error {
	w.structure.looked = time.Now()
	signature, err := w.schemasSignature(ctx, w.sides.Production)
	if err != nil || signature == w.structure.signature {
		return err
	}
	if err := w.compareMeaning(ctx, signature); err != nil {
		return err
	}
	changes, compared, err := w.drift(ctx)
	if err != nil || !compared {
		w.structure.changes = changes
		return err
	}
	told := w.structure.signature != "" && slices.Equal(changes, w.structure.changes)
	w.structure.signature, w.structure.changes = signature, changes
	if told {
		return nil
	}
	return w.tellStructure(ctx)
}

// drift is what changed since the plan was made. Where the structure could not be compared,
// since somebody holds a lock, say, that is what there is to say of it: it is asked again.
func (w *worker) drift(ctx context.Context) (changes []string, compared bool, err error) {
	changes, err = planner.Drift(ctx, w.file.Production.DSN, w.run.Plan)
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if err != nil {
		w.log.Warn("structure not compared", "error", err)
		return []string{"it could not be compared, as where somebody holds a lock on a table: " + err.Error()}, false, nil
	}
	return changes, true, nil
}

func (w *worker) tellStructure(ctx context.Context) error {
	changes := w.structure.changes
	if len(changes) > 0 {
		w.log.Warn("structure changed", "changes", changes)
		return control.Event(ctx, w.sides.Production, w.run, control.StructureChanged, map[string]any{"changes": changes})
	}
	before, err := structureEvent(ctx, w.sides.Production, w.run)
	if err != nil || len(before) == 0 {
		return err
	}
	return control.Event(ctx, w.sides.Production, w.run, control.StructureAsPlanned, nil)
}

// structureEvent is what the last comparison found.
func structureEvent(ctx context.Context, db pg.Querier, run *control.Run) (changes []string, err error) {
	var detail struct{ Changes []string }
	if _, err := control.LastEvent(ctx, db, run, &detail, control.StructureChanged, control.StructureAsPlanned); err != nil {
		return nil, err
	}
	return detail.Changes, nil
}

func (w *worker) schemasSignature(ctx context.Context, db pg.Querier) (signature string, err error) {
	var schemas []string
	for _, s := range w.run.Plan.Schemas {
		schemas = append(schemas, s.Production)
	}
	return conditions.Signature(ctx, db, schemas, w.run.Plan.Near())
}

// unlike names what is not as the plan and capture saw it.
func (w *worker) unlike(ctx context.Context, db pg.Querier) (changed []string, err error) {
	if changed, err = w.changed(ctx, db); err != nil {
		return nil, err
	}
	schemas, err := w.schemasUnlike(ctx, db)
	return append(changed, schemas...), err
}

// schemasUnlike: behind the fence there is no time to compare. Another signature
// than at the last comparison is reason enough to let the fence go.
func (w *worker) schemasUnlike(ctx context.Context, db pg.Querier) ([]string, error) {
	return w.unlikeIn(ctx, db, func(signature string) string { return signature })
}

// schemasUnlikeClosed leaves out sequences, once the fence has closed them.
func (w *worker) schemasUnlikeClosed(ctx context.Context, db pg.Querier) ([]string, error) {
	return w.unlikeIn(ctx, db, func(signature string) string {
		_, rest, _ := strings.Cut(signature, "/")
		return rest
	})
}

func (w *worker) unlikeIn(ctx context.Context, db pg.Querier, part func(string) string) ([]string, error) {
	signature, err := w.schemasSignature(ctx, db)
	if err != nil {
		return nil, err
	}
	if part(signature) != part(w.structure.signature) && len(w.structure.changes) == 0 {
		return []string{"something was made or changed in the schemas just now"}, nil
	}
	return w.structure.changes, nil
}
