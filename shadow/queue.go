package shadow

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pgumbra/pgumbra/plans"
)

// tableCopy is one table's copy under way.
type tableCopy struct {
	*plans.Table
	generation int32 // how often the table had been begun again when this was planned
	bytes      int64 // for the order
	pageSize   int64

	chunks                []*chunk // unfinished
	total                 int
	rowsTotal, pagesTotal int64
	left                  atomic.Int64
	rows, pages           atomic.Int64
}

// count notes a finished chunk and tells whether it was the last.
func (t *tableCopy) count(c *chunk) (last bool) {
	t.rows.Add(c.rows)
	t.pages.Add(c.last - c.first)
	return t.left.Add(-1) == 0
}

// job is a chunk of a table or, without one, a table to open.
type job struct {
	table *tableCopy
	chunk *chunk
}

// queue hands out work to all workers: chunks of opened tables first, then the
// largest table that is not open. Tables are opened late, so that their
// positions are young and less is copied that changed meanwhile.
type queue struct {
	mu     sync.Mutex
	change *sync.Cond
	tables []*tableCopy
	chunks []job
	busy   int // jobs handed out, which may bring more
}

func newQueue(ctx context.Context) *queue {
	q := &queue{}
	q.change = sync.NewCond(&q.mu)
	context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.change.Broadcast()
	})
	return q
}

// next waits for a job. None when all is done or ctx has ended.
func (q *queue) next(ctx context.Context) (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ctx.Err() == nil {
		switch {
		case len(q.chunks) > 0:
			j := q.chunks[0]
			q.chunks = q.chunks[1:]
			q.busy++
			return j, true
		case len(q.tables) > 0:
			t := q.tables[0]
			q.tables = q.tables[1:]
			q.busy++
			return job{table: t}, true
		case q.busy == 0:
			return job{}, false
		}
		q.change.Wait()
	}
	return job{}, false
}

func (q *queue) finished(job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	q.change.Broadcast()
}

func (q *queue) addTable(t *plans.Table, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tables = append(q.tables, &tableCopy{Table: t, bytes: bytes})
	slices.SortStableFunc(q.tables, func(a, b *tableCopy) int { return cmp.Compare(b.bytes, a.bytes) })
	q.change.Broadcast()
}

func (q *queue) addChunks(t *tableCopy) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range t.chunks {
		q.chunks = append(q.chunks, job{table: t, chunk: c})
	}
	t.chunks = nil
	q.change.Broadcast()
}

// again puts a job back, last.
func (q *queue) again(j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.chunks = append(q.chunks, j)
	q.change.Broadcast()
}

// dropTable forgets what is queued of a table's copy.
func (q *queue) dropTable(t *tableCopy) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.chunks = slices.DeleteFunc(q.chunks, func(j job) bool { return j.table == t })
}
