package upgrade

import (
	"context"
	"errors"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/shadow"
)

// What a cutover needs of the packages around it, there and back.
var (
	_ cutover.Parts = forwardParts{}
	_ cutover.Parts = backParts{}
)

// bothWays are the parts that do not know which way rows go.
type bothWays struct{ w *worker }

// Pending counts what all tables have to replay.
func (p bothWays) Pending(ctx context.Context) (int64, error) { return p.w.pending(ctx) }

// CatchUp replays rounds in quick succession.
func (p bothWays) CatchUp(ctx context.Context) error { return p.w.keepUp(ctx) }

// NewForeignKeys asks the rows for those that the migrations bring.
func (p bothWays) NewForeignKeys(ctx context.Context) ([]string, error) {
	return p.w.newForeignKeys(ctx)
}

// RefreshView fills or empties a materialized view.
func (p bothWays) RefreshView(ctx context.Context, view pg.Name, contents cutover.Contents) (lent bool, err error) {
	return p.w.refreshView(ctx, view, contents)
}

// RemoveCapture removes it from both sides.
func (p bothWays) RemoveCapture(ctx context.Context) error { return p.w.removeCapture(ctx) }

// forwardParts are those of the cutover: reverse capture is where the shadow is,
// forward capture where production is.
type forwardParts struct{ bothWays }

// Drain replays the rest.
func (p forwardParts) Drain(ctx context.Context) (int64, error) { return p.w.drain(ctx) }

// Approach replays and proves what there is now.
func (p forwardParts) Approach(ctx context.Context) error { return p.w.approach(ctx) }

// Changed compares with the plan and with what capture saw.
func (p forwardParts) Changed(ctx context.Context, db pg.Querier) ([]string, error) {
	return p.w.unlike(ctx, db)
}

// SchemasChanged compares with the plan alone.
func (p forwardParts) SchemasChanged(ctx context.Context, db pg.Querier) ([]string, error) {
	return p.w.schemasUnlikeClosed(ctx, db)
}

// Unproved are the tables that no swap may take over.
func (p forwardParts) Unproved(ctx context.Context) ([]cutover.Blocker, error) {
	return p.w.unprovedTables(ctx)
}

// SwapEntries are those that the swap makes, but what is built already.
func (p forwardParts) SwapEntries() []plans.Entry { return shadow.SwapEntries(p.w.run.Plan, p.w.built) }

// PostSwap validates foreign keys.
func (p forwardParts) PostSwap(ctx context.Context) error {
	return shadow.PostSwap(ctx, p.w.sides, p.w.run)
}

// DropSkeleton drops what stood in production's database for a shadow elsewhere.
func (p forwardParts) DropSkeleton(ctx context.Context) error {
	return shadow.DropSkeleton(ctx, p.w.sides, p.w.run)
}

// PrepareReverse makes what captures the new side.
func (p forwardParts) PrepareReverse(ctx context.Context) error {
	return capture.PrepareReverse(ctx, p.w.sides.Shadow, p.w.run)
}

// ReverseTriggers asks for what captures the new side.
func (p forwardParts) ReverseTriggers() string { return capture.ReverseTriggers(p.w.run) }

// StopCapture removes what captured the old side.
func (p forwardParts) StopCapture(ctx context.Context) error { return p.w.stopCapture(ctx) }

// backParts are those of the rollback. again: the new side is followed again afterwards.
type backParts struct {
	bothWays
	again bool
}

// Drain ends the attempt, and not the watch, where the old side refuses a row.
func (p backParts) Drain(ctx context.Context) (int64, error) { return p.w.drainBack(ctx) }

// Approach is that of the cutover, where a row that the old side refuses ends the
// attempt and not the watch.
func (p backParts) Approach(ctx context.Context) error {
	err := p.w.approach(ctx)
	if errors.Is(err, replay.ErrConflict) {
		return cutover.NotNow(refusedBy(err))
	}
	return err
}

// Changed compares with what capture saw of the new tables: no plan says how these
// are to be.
func (p backParts) Changed(ctx context.Context, db pg.Querier) ([]string, error) {
	return p.w.changed(ctx, db)
}

// SchemasChanged names nothing: of the new schemas no plan says how they are to be.
func (p backParts) SchemasChanged(context.Context, pg.Querier) ([]string, error) { return nil, nil }

// Unproved names nothing: tables that differ stand against the attempt, and nobody
// else proves them while it lasts.
func (p backParts) Unproved(context.Context) ([]cutover.Blocker, error) { return nil, nil }

// SwapEntries are none: the old side's structure is as it was.
func (p backParts) SwapEntries() []plans.Entry { return nil }

// PostSwap has nothing to validate: the old side's foreign keys are as they were.
func (p backParts) PostSwap(context.Context) error { return nil }

// DropSkeleton drops nothing: what stood for the shadow went after the cutover.
func (p backParts) DropSkeleton(context.Context) error { return nil }

// PrepareReverse makes what captures the old side again, if rows go on.
func (p backParts) PrepareReverse(ctx context.Context) error {
	if !p.again {
		return nil
	}
	return capture.PrepareForward(ctx, p.w.sides.Shadow, p.w.forward)
}

// ReverseTriggers asks for what captures the old side again.
func (p backParts) ReverseTriggers() string {
	if !p.again {
		return ""
	}
	return capture.ForwardTriggers(p.w.forward)
}

// StopCapture stops nothing: after a rollback all of it goes at once.
func (p backParts) StopCapture(context.Context) error { return nil }
