package cutover

import (
	"context"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Parts are what a cutover needs of the packages around it, there and back. What one
// direction does not need its method says, so that nothing is left out by chance.
type Parts interface {
	Rows
	Looks
	Structure
	Capture
}

// Rows are brought into the shadow.
type Rows interface {
	// Drain replays all journals behind the fence, in transactions of its own
	// that are committed when it returns, and proves the keys again that were
	// touched since they were proved. [NotNow] when it cannot.
	Drain(ctx context.Context) (changes int64, err error)
	// Pending counts the journal rows that are not replayed yet.
	Pending(ctx context.Context) (int64, error)
	// CatchUp replays, once, what production has committed until now; for the
	// materialized views.
	CatchUp(ctx context.Context) error
	// Approach does what Drain does, once, while writers go on, so that little is
	// left for it. The attempt holds locks on the shadow's tables.
	Approach(ctx context.Context) error
}

// Looks tell what stands against a swap.
type Looks interface {
	// Changed names what is no longer as capture's fingerprints have it.
	// Asked before the fence, and last of all before COMMIT: by a session other than
	// the swap's own, which it asks with the same text each time.
	Changed(ctx context.Context, db pg.Querier) ([]string, error)
	// SchemasChanged is Changed without what the fence itself changes on
	// production's tables.
	SchemasChanged(ctx context.Context, db pg.Querier) ([]string, error)
	// Unproved names the tables that are not proved equal to production. Asked with
	// Changed, last of all: anybody may have found a difference meanwhile.
	Unproved(ctx context.Context) ([]Blocker, error)
	// NewForeignKeys describes rows that violate foreign keys which production
	// does not guarantee. It may read whole tables, so a clean answer counts
	// for verify_within.
	NewForeignKeys(ctx context.Context) ([]string, error)
}

// Structure of the shadow that is made, filled or taken away around a swap.
type Structure interface {
	// SwapEntries are the structure entries that the swap runs, foreign keys
	// as NOT VALID.
	SwapEntries() []plans.Entry
	// RefreshView fills or empties a materialized view of the shadow, and says
	// whether its owner had to be lent rights on the shadow's schemas for it.
	RefreshView(ctx context.Context, view pg.Name, contents Contents) (lent bool, err error)
	// PostSwap validates what the swap made NOT VALID.
	PostSwap(ctx context.Context) error
	// DropSkeleton drops the shadow's structure that stood in production's
	// database for a shadow in another one.
	DropSkeleton(ctx context.Context) error
}

// Capture of what is written, on the side that is production and, from the swap on, on
// the other.
type Capture interface {
	// PrepareReverse makes, before the fence, the journals and triggers of the
	// direction in which rows go from the swap on, if they go on.
	PrepareReverse(ctx context.Context) error
	// ReverseTriggers is the text that fails the swap unless these triggers are there
	// and enabled; empty where no rows go from the swap on.
	ReverseTriggers() string
	// StopCapture removes forward capture from the old tables after the swap.
	StopCapture(ctx context.Context) error
	// RemoveCapture removes whatever capture has left, both directions, on both
	// sides.
	RemoveCapture(ctx context.Context) error
}
