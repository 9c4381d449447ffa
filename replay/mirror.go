package replay

import (
	"context"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// positions of tables as the shadow has them, for mirror.
func (r *Replayer) positions(ctx context.Context, shadow pg.Querier, tables ...*plans.Table) ([]byte, error) {
	numbers := make([]int, len(tables))
	for i, t := range tables {
		numbers[i] = t.N
	}
	return control.ReadPositions(ctx, shadow, r.Run, numbers)
}

// mirror copies what was just committed on the shadow to production's control
// schema, where unread journal rows are looked for by it.
func (r *Replayer) mirror(ctx context.Context, committed []byte, tables ...*plans.Table) error {
	if !r.Sides.Remote() || len(tables) == 0 {
		return nil
	}
	return control.MirrorPositions(ctx, r.Sides.Production, r.Run, committed)
}
