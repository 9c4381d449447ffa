package upgrade

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/replay"
)

// TableStatus is one shadow table.
type TableStatus struct {
	Production   string     `json:"production"`
	Shadow       string     `json:"shadow"`
	State        string     `json:"state"`
	RowsCopied   int64      `json:"rows_copied"`
	RowsTotal    int64      `json:"rows_total"` // an estimate until the copy is complete
	RowsReplayed int64      `json:"rows_replayed"`
	Pending      int64      `json:"pending"`            // journal rows not replayed yet
	RowsVerified int64      `json:"rows_verified"`      // compared at least once
	VerifiedAt   *time.Time `json:"verified_at"`        // every row was equal then; what changed since is verified again
	Recopied     int        `json:"recopied,omitempty"` // how often it had to be copied again

	n     int      // in the plan
	known string   // what people know it by
	stale []string // what stands against a cutover although it was verified once
}

// RefusedRow is a row of a new table that the old one does not take, or not as it is.
type RefusedRow struct {
	Table string `json:"table"`
	Key   string `json:"key"` // empty: not found
	Why   string `json:"why"`
	// Flow is what becomes of the table's other rows, and of this one: "waits", until
	// the row is corrected; "goes on", and the old side keeps what it had of the row;
	// "altered": it went back as far as the old side holds it.
	Flow string `json:"flow"`
	// OfTable is how many rows of its table are like it.
	OfTable int64 `json:"of_table"`

	old pg.Name // the old table as it is called now, of a row that its table waits for
}

func (s *Status) readTables(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	rows, err := control.Tables(ctx, tx, run)
	if err != nil {
		return err
	}
	known := map[string]string{}
	for i := range run.Plan.Tables {
		t := &run.Plan.Tables[i]
		known[t.Shadow.String()] = run.Plan.Known(t).String()
	}
	live := run
	run = run.Now()
	if s.doubts, err = readDoubts(ctx, tx, run); err != nil {
		return err
	}
	for _, r := range rows {
		s.Tables = append(s.Tables, TableStatus{
			Production: r.Production, Shadow: r.Shadow, State: string(r.State), RowsCopied: r.RowsCopied, RowsTotal: r.RowsTotal,
			RowsReplayed: r.RowsReplayed, RowsVerified: r.RowsProved, VerifiedAt: r.VerifiedAt, Recopied: r.Recopied, n: r.N, known: known[r.Shadow],
			stale: messages(cutover.AgainstTable(live, r, rows)),
		})
	}
	return nil
}

func messages(against []cutover.Blocker) (all []string) {
	for _, b := range against {
		all = append(all, b.Message)
	}
	return all
}

// readPending counts what is not replayed yet, where the journals are.
func (s *Status) readPending(ctx context.Context, db pg.Querier, run *control.Run) error {
	pending, err := (&replay.Replayer{Run: run}).PendingAll(ctx, db)
	for i := range s.Tables {
		t := &s.Tables[i]
		t.Pending = pending[t.n]
		s.Journal.Pending += t.Pending
	}
	return err
}

// journalsHere reports whether journals that are followed are in the database that
// the status is read from: the new side's, if the old one is away.
func (s *Status) journalsHere(run *control.Run) bool {
	switch {
	case run.Phase.Over() || run.Phase == control.Building || run.Phase == control.Capturing:
		return false
	case run.Phase.Swapped():
		return run.GoesBack() && (s.Away != "" || !run.Plan.Remote)
	}
	return true
}
