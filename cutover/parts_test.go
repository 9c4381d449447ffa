package cutover

import (
	"context"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// idleParts are complete parts of a run in which nothing is left to do. Tests put others
// over them.
type idleParts struct{}

func (idleParts) Drain(context.Context) (int64, error)                         { return 0, nil }
func (idleParts) Pending(context.Context) (int64, error)                       { return 0, nil }
func (idleParts) CatchUp(context.Context) error                                { return nil }
func (idleParts) Approach(context.Context) error                               { return nil }
func (idleParts) Changed(context.Context, pg.Querier) ([]string, error)        { return nil, nil }
func (idleParts) SchemasChanged(context.Context, pg.Querier) ([]string, error) { return nil, nil }
func (idleParts) Unproved(context.Context) ([]Blocker, error)                  { return nil, nil }
func (idleParts) NewForeignKeys(context.Context) ([]string, error)             { return nil, nil }
func (idleParts) SwapEntries() []plans.Entry                                   { return nil }
func (idleParts) RefreshView(context.Context, pg.Name, Contents) (lent bool, _ error) {
	return false, nil
}
func (idleParts) PostSwap(context.Context) error       { return nil }
func (idleParts) DropSkeleton(context.Context) error   { return nil }
func (idleParts) PrepareReverse(context.Context) error { return nil }
func (idleParts) ReverseTriggers() string              { return "" }
func (idleParts) StopCapture(context.Context) error    { return nil }
func (idleParts) RemoveCapture(context.Context) error  { return nil }

// drains are parts that bring rows over.
type drains struct {
	Parts
	do func(context.Context) (int64, error)
}

func (p drains) Drain(ctx context.Context) (int64, error) { return p.do(ctx) }

// enters are parts whose swap makes entries.
type enters struct {
	Parts
	entries []plans.Entry
}

func (p enters) SwapEntries() []plans.Entry { return p.entries }

// changes are parts that find something changed.
type changes struct {
	Parts
	look func(context.Context) ([]string, error)
}

func (p changes) Changed(ctx context.Context, _ pg.Querier) ([]string, error) { return p.look(ctx) }

// unproves are parts that find tables unproved.
type unproves struct {
	Parts
	look func() []Blocker
}

func (p unproves) Unproved(context.Context) ([]Blocker, error) { return p.look(), nil }

// violates are parts that find rows which break new foreign keys.
type violates struct {
	Parts
	look func() []string
}

func (p violates) NewForeignKeys(context.Context) ([]string, error) { return p.look(), nil }

// pends are parts with changes to replay.
type pends struct {
	Parts
	rows int64
}

func (p pends) Pending(context.Context) (int64, error) { return p.rows, nil }

// skeleton is dropped by these.
type skeleton struct {
	Parts
	drop func()
}

func (p skeleton) DropSkeleton(context.Context) error { p.drop(); return nil }

// drainsBy lets rows be brought over in another way.
func (f *fixture) drainsBy(do func(context.Context) (int64, error)) { f.Parts = drains{f.Parts, do} }
