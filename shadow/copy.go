package shadow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Copier copies production's rows into the shadow.
//
// A table with a key is copied in chunks, page ranges of each leaf, each in a
// short READ COMMITTED transaction of its own that also records the chunk: what
// is committed is never copied again. The table's position is taken before its
// first chunk, and every chunk's snapshot is newer: rows that changed since the
// position may be in the shadow never, once or twice, and all of them are in the
// journal. [BuildKeys] takes them out, the first catch-up brings them right.
// Other tables are copied in one snapshot, which is their position.
//
// To another database a chunk takes two transactions. What COPY sends in
// production goes into a COPY of the shadow's as it is, and the shadow's commit,
// with the chunk's record in it, decides: a chunk whose session was lost on
// either side is copied again, one that is recorded never.
type Copier struct {
	Sides control.Sides // on each at least one session more than workers, the plan's and [MostWorkers]
	Run   *control.Run
	Log   *slog.Logger
	// Progress, where not nil, is told after each chunk. Never called by two
	// goroutines at once.
	Progress func(Progress)
	// Before is called before each chunk and blocks while rows must not go through
	// their transforms. nil: they always may.
	Before func(context.Context) error
	// Throttle is called after it and blocks while production needs
	// rest. nil: [NewThrottle].
	Throttle func(context.Context) error

	begin sync.Once
	tell  sync.Mutex
	look  sync.Mutex
	types map[int]map[string]pg.ColumnType // by the table's number and the column's name; remote only
}

// Progress of one table.
type Progress struct {
	Table      *plans.Table
	Rows       int64 // copied
	RowsTotal  int64 // estimated
	Bytes      int64 // of production's heap, read
	BytesTotal int64
	Done       bool
}

// Errors that a chunk ends with and the copier itself deals with.
var (
	// errStale: the table was begun again since the chunk was planned.
	errStale = errors.New("the chunk is out of date")
	// errRewritten: the leaf's file is another one. The whole table is copied again.
	errRewritten = errors.New("the table was rewritten or truncated while it was copied")
)

// lockWait is how long a chunk waits for its ACCESS SHARE lock before it says so
// and waits anew: somebody holds or awaits ACCESS EXCLUSIVE on production.
const lockWait = "5s"

// Copy copies every table that is not copied yet, to the state keying. Largest
// tables first, so that workers end together. Resumes where it was interrupted.
// Returns [*RowError] when a transform fails on a row.
//
// On production's tables it takes ACCESS SHARE for the time of a chunk; only
// ACCESS EXCLUSIVE (VACUUM FULL, most ALTER TABLE) waits for it.
func (c *Copier) Copy(ctx context.Context) error {
	c.begin.Do(func() {
		if c.Throttle == nil {
			c.Throttle = NewThrottle(c.Sides, c.Run, c.Log)
		}
	})
	if err := c.recopyLost(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	q := newQueue(ctx)
	if err := c.load(ctx, q); err != nil {
		return err
	}
	return c.staff(ctx, group, q)
}

// recopyLost begins again what a crash took.
func (c *Copier) recopyLost(ctx context.Context) error {
	lost, err := Lost(ctx, c.Sides, c.Run)
	if err != nil {
		return err
	}
	for _, t := range lost {
		if err := c.Recopy(ctx, t, "the server crashed, and the table is unlogged"); err != nil {
			return err
		}
	}
	return nil
}

// load queues the tables that wait and the unfinished chunks of the others.
func (c *Copier) load(ctx context.Context, q *queue) error {
	states, err := control.States(ctx, c.Sides.Shadow, c.Run)
	if err != nil {
		return err
	}
	for i := range c.Run.Plan.Tables {
		t := &c.Run.Plan.Tables[i]
		if s, fed := states[t.N]; !fed || s != control.Waiting && s != control.CopyingRow {
			continue
		}
		planned, err := loadChunks(ctx, c.Sides.Shadow, c.Run, t)
		if err != nil {
			return err
		}
		if planned.total == 0 {
			q.addTable(t, c.size(t))
			continue
		}
		q.addChunks(planned)
		if planned.left.Load() == 0 { // interrupted between its last chunk and its end
			if err := c.finish(ctx, planned); err != nil {
				return err
			}
		}
	}
	return nil
}

// size orders the tables; of a derived one it is that of what it reads.
func (c *Copier) size(t *plans.Table) (bytes int64) {
	for i := range c.Run.Plan.Sources {
		if s := &c.Run.Plan.Sources[i]; t.ReadsFrom(s.N) {
			bytes += s.Bytes
		}
	}
	return bytes
}

func (c *Copier) wait(ctx context.Context) error {
	if c.Before != nil {
		if err := c.Before(ctx); err != nil {
			return err
		}
	}
	return c.Throttle(ctx)
}

func (c *Copier) do(ctx context.Context, q *queue, j job) error {
	if j.chunk == nil {
		return c.open(ctx, q, j.table)
	}
	err := c.copyChunk(ctx, j)
	switch {
	case err == nil:
		return c.chunkDone(ctx, j)
	case errors.Is(err, errStale):
		return nil
	case errors.Is(err, errRewritten):
		return c.startAgain(ctx, q, j)
	case repeatable(err):
		c.Log.Warn("a chunk is tried again", "table", c.known(j.table.Table), "error", err)
		q.again(j)
		return nil
	}
	return c.explain(ctx, j, err)
}

// repeatable errors say nothing of the rows: the same statement may pass next time.
func repeatable(err error) bool {
	switch pg.State(err) {
	case pgerrcode.SerializationFailure, pgerrcode.DeadlockDetected, pgerrcode.LockNotAvailable:
		return true
	}
	return false
}

// open begins a table: its position and its chunks, or the whole of it.
func (c *Copier) open(ctx context.Context, q *queue, t *tableCopy) error {
	whole, err := c.inOneSnapshot(ctx, t.Table)
	if err != nil {
		return err
	}
	if whole {
		return c.copyWhole(ctx, t)
	}
	planned, err := c.planChunks(ctx, t.Table)
	if err != nil {
		return fmt.Errorf("plan the copy of %s: %w", c.known(t.Table), err)
	}
	q.addChunks(planned)
	if planned.total == 0 {
		c.report(planned, true)
	}
	return nil
}

// startAgain after a rewrite, once however many chunks noticed it.
func (c *Copier) startAgain(ctx context.Context, q *queue, j job) error {
	t := j.table.Table
	c.Log.Warn("table is copied again", "table", c.known(t), "reason", errRewritten)
	begun, err := c.recopy(ctx, t, errRewritten.Error(), &j.table.generation)
	if err != nil {
		return err
	}
	if begun {
		q.dropTable(j.table)
		q.addTable(t, c.size(t))
	}
	return nil
}

// chunkDone counts and, after the last one, ends the table.
func (c *Copier) chunkDone(ctx context.Context, j job) error {
	last := j.table.count(j.chunk)
	if last {
		if err := c.finish(ctx, j.table); err != nil {
			return fmt.Errorf("finish the copy of %s: %w", c.known(j.table.Table), err)
		}
	}
	c.report(j.table, last)
	return nil
}

// finish moves a table on once all its chunks are recorded.
func (c *Copier) finish(ctx context.Context, t *tableCopy) error {
	return pg.ReadCommitted(ctx, c.Sides.Shadow, func(tx pgx.Tx) error {
		p, err := control.Lock(ctx, tx, c.Run, t.N)
		if err != nil || p.State != control.CopyingRow {
			return err
		}
		return control.EndCopy(ctx, tx, c.Run, t.N, t.generation)
	})
}

// known is what people know a table by. Several may get the rows of one.
func (c *Copier) known(t *plans.Table) string { return c.Run.Plan.Known(t).String() }

func (c *Copier) report(t *tableCopy, done bool) {
	if done {
		c.Log.Info("table copied", "table", c.known(t.Table), "rows", t.rows.Load())
	}
	if c.Progress == nil {
		return
	}
	c.tell.Lock()
	defer c.tell.Unlock()
	c.Progress(Progress{Table: t.Table, Rows: t.rows.Load(), RowsTotal: t.rowsTotal,
		Bytes: t.pages.Load() * t.pageSize, BytesTotal: t.pagesTotal * t.pageSize, Done: done})
}
