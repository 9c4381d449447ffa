package replay

import "time"

// Touched keys are proved beside batches. So that this cannot fall behind for good
// where replay does not, batches of a table wait while its touched keys are proved,
// once these have become more from one time to the next: then replay and proof share
// what the machine gives, and each round has less to do.

// pace is how fast touched keys of a table are proved.
type pace struct {
	last int64   // journal rows that the last round had to look at
	rate float64 // of them in a second, in the last round that says something
	held bool    // no batch begins
}

const (
	// assumedRate of journal rows a second is what counts for a table until it was
	// measured: half of what two small cores do with small rows, see BenchmarkProof.
	assumedRate = 10_000
	// A round of fewer rows tells more of round trips than of rows.
	tellingRound = 500
	// A round takes that long at the least.
	leastRound = 10 * time.Millisecond
)

func (r *Replayer) paceOf(n int) *pace {
	if r.paces == nil {
		r.paces = make(map[int]*pace)
	}
	if r.paces[n] == nil {
		r.paces[n] = new(pace)
	}
	return r.paces[n]
}

// holdBack notes that so many rows are about to be proved again, and keeps batches
// of the table back, until the returned function is called, if they become more.
func (r *Replayer) holdBack(n int, changes int64) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.paceOf(n)
	p.held = changes > mostTouched && p.last > mostTouched/2 && changes >= p.last
	p.last = changes
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		p.held = false
	}
}

// heldBack reports whether a table's next batch is to wait.
func (r *Replayer) heldBack(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paceOf(n).held
}

func (r *Replayer) noteRate(n int, changes int64, took time.Duration) {
	if changes < tellingRound {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paceOf(n).rate = float64(changes) / max(took, time.Millisecond).Seconds()
}

// provedIn is how long it will take to prove the keys again that so many journal rows
// of a table name.
func (r *Replayer) provedIn(n int, changes int64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	rate := r.paceOf(n).rate
	if rate == 0 {
		rate = assumedRate
	}
	return leastRound + time.Duration(float64(changes)/rate*float64(time.Second))
}
