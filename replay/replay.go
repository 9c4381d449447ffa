// Package replay keeps shadow tables equal to transform(production): it reads
// the journals that capture writes, in batches between two snapshots, reduces
// them to one state for each key, and writes those states to the shadow in the
// transaction that records the new position. It also proves the equality, by
// comparing both sides at one snapshot.
//
// Where the shadow is another database, what a batch needs is computed in
// production, in one snapshot, and staged in temporary tables on the shadow,
// which the same statements then read. Its transaction commits only after
// production's WAL is on disk.
//
// It never skips or ignores a change: what the shadow refuses ends the batch with
// [ErrConflict], and forward the run with it. On the way back its table waits until
// somebody mends the row; and a row that the old side cannot hold, by a condition that is
// known beforehand, is noted by its key and left out, or goes back altered (unfit.go).
// It never locks a production table beyond ACCESS SHARE, and it
// never writes to production's tables.
//
// Order of calls for a table: [Replayer.DropJournalled] when its copy is
// complete, [Replayer.CatchUp] once its key has an index, then
// [Replayer.Batch] again and again, a [Prover] beside it, and [Replayer.Drain]
// behind the fence. [Replayer.Verify] at any time, by anybody.
//
// It is one package since a batch, a first catch-up and a proof ask for the same rows, by
// the same expressions, keys and journal entries: all their statements are made by an
// applier. A proof whose texts were its own would prove another transform than the one
// that is replayed; and a small batch proves what it writes in its own transaction.
package replay

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// Sentinels.
var (
	// ErrRecopy: the table's copy is not complete: the caller copies the table,
	// then goes on. Where a [*RecopyError] is in the chain, what was copied is
	// worthless and the copy begins anew.
	ErrRecopy = errors.New("the table must be copied first")
	// ErrConflict: the shadow refuses what production holds. The caller stops
	// the run and shows the error: it names table, statement and row. A
	// [Conflict] is in the chain.
	ErrConflict = errors.New("the shadow refuses a row of production's")
	// errMoved: the storage of a production table changed under the
	// transaction (TRUNCATE is not MVCC-safe), so what was read proves nothing.
	errMoved = errors.New("storage of the production table changed during the transaction")
	// errTaken: another transaction of ours moved the table's row on while this
	// one, whose snapshot is older, waited for it. Nothing was done yet.
	errTaken = errors.New("the table's position moved on meanwhile")
	// errGaveWay: an apply worker waited for a lock for too long, with which others
	// may wait for its leader.
	errGaveWay = errors.New("an apply worker gave way to who waits for the table")
	// errLeaderless: an apply worker found the batch that it belongs to ended.
	errLeaderless = errors.New("the transaction that leads the batch is gone")
)

// Defaults of a [Replayer].
const (
	defaultIdle = 10 * time.Second
	// Each piece of the first catch-up reads the whole journal, so small pieces
	// cost quadratically; large ones keep a snapshot for long.
	defaultPieceRows = 500_000
	// ApplyWorkers each read the journal by themselves, which fewer changes do not repay.
	defaultHotChanges = 50_000
	defaultWorkers    = 4
	// Attempts of one batch: each repetition means that a leader changed or a
	// production table was rewritten in those moments.
	attempts = 8
)

// Replayer replays the journals of one run. Its methods may be called from
// several goroutines, for the same table too: they wait for each other on the
// table's row in the control schema. Batches, proofs and catching up are its methods
// alike, since each takes the same locks in the same order; texts are the applier's.
type Replayer struct {
	// Sides: sessions in production's database and in the shadow's, of the same
	// settings, since rows are compared as text. The user's transforms are
	// evaluated in production, under its search_path, plans.Plan.SearchPath.
	Sides control.Sides
	Run   *control.Run
	Log   *slog.Logger
	// Replica: write the shadow with session_replication_role = replica, since
	// foreign keys stand there. The role must be allowed to set it.
	Replica bool

	Idle      time.Duration // how old the position of a table without changes may get; default 10 s
	PieceRows int64         // journal rows in a piece of the first catch-up, about; default 500,000
	Workers   int           // tables drained at once; default 4
	// ApplyWorkers in which one table may be replayed at once, by key hash; all tables
	// together take up to Apply workers-1 more than one each. Default 1. Tables go by
	// apply workers from HotChanges unread journal rows on; default 50,000.
	ApplyWorkers int
	HotChanges   int64

	// RangeRows is how many keys the first range has that is compared; default
	// 100,000. Later ones are adapted to how long that takes.
	RangeRows int64
	// Guest: another process leads the run. What [Replayer.Verify] proves is noted
	// by nobody then, only what differs.
	Guest bool

	mu               sync.Mutex
	appliers         map[int]*applier
	advanced         map[int]time.Time // when a table's position was last written
	storage          map[int]string    // filenodes behind a table as they were last seen; remote only
	busyApplyWorkers int               // beyond one for each table
	found            []Found           // differences that nobody has taken yet
	changed          time.Time         // when a batch last had changes
	paces            map[int]*pace     // by table
}

// RecopyError says that a table must be copied again from scratch. It matches
// [ErrRecopy].
type RecopyError struct {
	Table  *plans.Table
	Reason string
}

func (e *RecopyError) Error() string {
	return fmt.Sprintf("%s must be copied again: %s", e.Table.Shadow, e.Reason)
}

// Is lets errors.Is find [ErrRecopy].
func (e *RecopyError) Is(target error) bool { return target == ErrRecopy }

// Result of a batch.
type Result struct {
	Changes  int64  // journal rows that were news to the table
	Position string // snapshot that the table equals now; empty: not moved, nothing was new
}

func (r *Replayer) idle() time.Duration {
	if r.Idle > 0 {
		return r.Idle
	}
	return defaultIdle
}

func (r *Replayer) pieceRows() int64 {
	if r.PieceRows > 0 {
		return r.PieceRows
	}
	return defaultPieceRows
}

func (r *Replayer) hotChanges() int64 {
	if r.HotChanges > 0 {
		return r.HotChanges
	}
	return defaultHotChanges
}

func (r *Replayer) rangeRows() int64 {
	if r.RangeRows > 0 {
		return r.RangeRows
	}
	return firstGroup
}

func (r *Replayer) workers() int {
	if r.Workers > 0 {
		return r.Workers
	}
	return defaultWorkers
}

func (r *Replayer) noteAdvance(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.advanced == nil {
		r.advanced = make(map[int]time.Time)
	}
	r.advanced[n] = time.Now()
}

func (r *Replayer) noteChange() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = time.Now()
}

// quiet reports whether batches have had nothing to do for a while.
func (r *Replayer) quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.changed) > time.Second
}

func (r *Replayer) lastAdvance(n int) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.advanced[n]
}
