package plans

import "time"

// Settings are the plan file's knobs that a run needs after planning, with
// their defaults. They are stored with the run, and renewed when it goes on.
type Settings struct {
	Copy    CopySettings    `json:"copy"`
	Capture CaptureSettings `json:"capture"`
	Cutover CutoverSettings `json:"cutover"`
	Watch   WatchSettings   `json:"watch"`
	// Trust names roles whose functions a superuser's run may call: production.trust.
	Trust []string `json:"trust,omitempty"`
}

// CopySettings bound what copying costs production.
type CopySettings struct {
	Workers        int           `json:"workers"`          // sessions that copy, build indexes and replay at once; default 2
	ChunkRows      int64         `json:"chunk_rows"`       // rows in one transaction, about; default 50,000
	MaxReplicaLag  time.Duration `json:"max_replica_lag"`  // pause above it; default 10 s; 0: do not look
	MaxRetainedWAL int64         `json:"max_retained_wal"` // bytes held by replication slots; pause above it; default 10 GB
	// MinFreeDisk in bytes, where the server's disk can be seen: copying pauses below
	// it, and capture ends below a quarter of it; default 1 GB; 0: do not look.
	MinFreeDisk int64 `json:"min_free_disk"`
}

// CaptureSettings bound what capturing costs production.
type CaptureSettings struct {
	MaxJournal int64 `json:"max_journal"` // bytes of all journals; above it capture ends and the run fails; default 20 GB
}

// CutoverSettings bound the stall.
type CutoverSettings struct {
	MaxStall        time.Duration `json:"max_stall"`        // first lock request to commit; default 1 s
	LockTimeout     time.Duration `json:"lock_timeout"`     // one total budget for all locks of an attempt; default 200 ms
	Attempts        int           `json:"attempts"`         // default 20
	MaxTotalStall   time.Duration `json:"max_total_stall"`  // of all attempts together; 0: attempts times max_stall, twenty at least
	VerifyWithin    time.Duration `json:"verify_within"`    // a touched table without a key was compared this recently; 0: any time; default 15 min
	RecycleSessions string        `json:"recycle_sessions"` // none | idle
}

// Grace is by how much the server waits longer than max_stall before it ends an attempt whose
// process does not: then that has given up already, unless it cannot.
func (c CutoverSettings) Grace() time.Duration { return max(c.MaxStall/10, 50*time.Millisecond) }

// Longest is what an attempt takes from writers at the most.
func (c CutoverSettings) Longest() time.Duration { return c.MaxStall + c.Grace() }

// Total is what all attempts of a run together may take from clients; never less
// than one attempt may.
func (c CutoverSettings) Total() time.Duration {
	total := c.MaxTotalStall
	if total == 0 {
		total = time.Duration(max(c.Attempts, 20)) * c.MaxStall // one series that came to nothing does not end the run
	}
	return max(total, c.MaxStall)
}

// WatchSettings say what follows the swap.
type WatchSettings struct {
	Enabled        bool `json:"enabled"`         // default true
	RequireReverse bool `json:"require_reverse"` // a column that cannot be taken back is a blocker
}

// Renewed are the settings of a run under way: those of the plan file as it is
// now, so that a budget that was too small can be raised. What the run was built
// on stays: the size of chunks, the watch.
func (s Settings) Renewed(now Settings) Settings {
	now.Copy.ChunkRows, now.Watch = s.Copy.ChunkRows, s.Watch
	return now
}

// DefaultSettings are those of a plan file that says nothing.
func DefaultSettings() Settings {
	return Settings{
		Copy:    CopySettings{Workers: 2, ChunkRows: 50_000, MaxReplicaLag: 10 * time.Second, MaxRetainedWAL: 10 << 30, MinFreeDisk: 1 << 30},
		Capture: CaptureSettings{MaxJournal: 20 << 30},
		Cutover: CutoverSettings{MaxStall: time.Second, LockTimeout: 200 * time.Millisecond, Attempts: 20,
			VerifyWithin: 15 * time.Minute, RecycleSessions: "none"},
		Watch: WatchSettings{Enabled: true},
	}
}

// Sizes of rows that decide how they are carried.
const (
	// WideRow is the size in bytes from which an image in the journal costs more
	// than reading the row again: such a row is journalled by its key.
	WideRow = 4096
	// MostOfARow is what a row may take and still be one value, or one row of COPY,
	// in bytes.
	MostOfARow = 1_000_000_000
)
