package upgrade

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// Work is what a run is busy with on its way to the cutover, and how far it is.
type Work struct {
	// Stage is "copying", "building keys", "catching up", "indexing" or "proving".
	Stage string `json:"stage"`
	Done  int    `json:"done"` // tables; indexes while they are built
	Of    int    `json:"of"`
	// Fraction of the stage, from 0 to 1, by rows; of indexes by the rows of their
	// tables.
	Fraction float64    `json:"fraction"`
	Now      []WorkItem `json:"now"` // what is under way
}

// WorkItem is one thing that is under way.
type WorkItem struct {
	Name     string   `json:"name"`     // a table or an index
	Fraction *float64 `json:"fraction"` // null: not known
}

// The stages.
const (
	StageCopying    = "copying"
	StageKeys       = "building keys"
	StageCatchingUp = "catching up"
	StageIndexing   = "indexing"
	StageProving    = "proving"
)

// readWork says what the run is busy with. Nil: it only follows, or is past that.
func (s *Status) readWork(ctx context.Context, tx pgx.Tx, run *control.Run, file *planfile.File) error {
	switch run.Phase {
	case control.Copying:
		s.Work = s.tablesWork(StageCopying, control.CopyingRow)
		return nil
	case control.Following:
	default:
		return nil
	}
	states := map[string]int{}
	for _, t := range s.Tables {
		states[t.State]++
	}
	var err error
	switch {
	case states[string(control.Waiting)]+states[string(control.CopyingRow)] > 0:
		s.Work = s.tablesWork(StageCopying, control.CopyingRow)
	case states[string(control.Keying)] > 0:
		s.Work, err = s.indexWork(ctx, tx, run, file, StageKeys, plans.StageKey)
	case states[string(control.CatchingUp)] > 0:
		s.Work = s.tablesWork(StageCatchingUp, control.CatchingUp)
	case states[string(control.Indexing)] > 0:
		s.Work, err = s.indexWork(ctx, tx, run, file, StageIndexing, plans.StageIndex)
	default:
		s.Work = s.provingWork(run)
	}
	return err
}

// past are the states of a table that is done with a stage.
var past = map[string][]control.State{
	StageCopying:    {control.Keying, control.CatchingUp, control.Indexing, control.FollowingState},
	StageCatchingUp: {control.Indexing, control.FollowingState},
}

func (s *Status) tablesWork(stage string, under control.State) *Work {
	w := &Work{Stage: stage, Of: len(s.Tables), Now: []WorkItem{}}
	var done, all int64
	for _, t := range s.Tables {
		total := max(t.RowsTotal, t.RowsCopied, 1)
		all += total
		for _, p := range past[stage] {
			if t.State == string(p) {
				w.Done++
				done += total
			}
		}
		if t.State != string(under) {
			continue
		}
		item := WorkItem{Name: t.Name()}
		if stage == StageCopying {
			f := float64(t.RowsCopied) / float64(total)
			item.Fraction = &f
			done += t.RowsCopied
		}
		w.Now = append(w.Now, item)
	}
	w.Fraction = share(done, all)
	return w
}

// provingWork: nil once every table is proved.
func (s *Status) provingWork(run *control.Run) *Work {
	w := &Work{Stage: StageProving, Now: []WorkItem{}}
	var done, all int64
	for _, t := range s.Tables {
		if !run.Plan.Verifiable(t.Shadow) {
			continue
		}
		w.Of++
		total := max(t.RowsTotal, t.RowsVerified, t.RowsCopied, 1)
		all += total
		if t.VerifiedAt != nil {
			w.Done++
			done += total
			continue
		}
		done += t.RowsVerified
		if t.RowsVerified > 0 {
			f := share(t.RowsVerified, total)
			w.Now = append(w.Now, WorkItem{Name: t.Name(), Fraction: &f})
		}
	}
	if w.Done == w.Of {
		return nil
	}
	w.Fraction = share(done, all)
	return w
}

func share(done, all int64) float64 {
	return float64(done) / float64(max(all, done, 1))
}

// indexWork counts the indexes of a stage, on whichever server the shadow is.
func (s *Status) indexWork(ctx context.Context, tx pgx.Tx, run *control.Run, file *planfile.File, stage string, of plans.Stage) (*Work, error) {
	w := &Work{Stage: stage, Now: []WorkItem{}}
	weights := map[int]int64{}
	for _, e := range run.Plan.Entries {
		if e.Stage == of && (e.Tag == "INDEX" || e.Tag == "CONSTRAINT") {
			weights[e.TOC] = max(s.rowsOf(e.Table.String()), 1)
			w.Of++
		}
	}
	looked := func(db pg.Querier) error { return w.lookAtIndexes(ctx, db, run, weights) }
	if !run.Plan.Remote {
		return w, looked(tx)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pg.Connect(ctx, file.Shadow.DSN, pg.Options{Component: "status"})
	if err != nil {
		return nil, nil // how far it is is not known for now; that it is away is told elsewhere
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := looked(conn); err != nil {
		return nil, nil
	}
	return w, nil
}

func (s *Status) rowsOf(shadow string) int64 {
	for _, t := range s.Tables {
		if t.Shadow == shadow {
			return max(t.RowsTotal, t.RowsCopied)
		}
	}
	return 0
}

// madeBy finds the index in a statement of ours.
var madeBy = regexp.MustCompile(`(?:INDEX|ADD CONSTRAINT) ("(?:[^"]|"")+"|[^\s(]+)`)

// lookAtIndexes: what is recorded is done; of what is under way the server tells
// how far it is. Which index that is only its statement says: until it is
// committed there is no such index.
func (w *Work) lookAtIndexes(ctx context.Context, db pg.Querier, run *control.Run, weights map[int]int64) error {
	recorded, err := control.Built(ctx, db, run)
	if err != nil {
		return err
	}
	var done, all float64
	for _, weight := range weights {
		all += float64(weight)
	}
	for toc := range recorded {
		if weight, ours := weights[toc]; ours {
			w.Done++
			done += float64(weight)
		}
	}
	rows, err := db.Query(ctx, `SELECT a.query, n.nspname || '.' || c.relname,
		       CASE WHEN p.tuples_total > 0 THEN 0.6 + 0.4 * p.tuples_done / p.tuples_total
		            WHEN p.phase LIKE '%scanning%' THEN 0.6 * p.blocks_done / greatest(p.blocks_total, 1)
		            WHEN p.phase LIKE '%:%' THEN 0.6 END::float8
		FROM pg_catalog.pg_stat_progress_create_index p JOIN pg_catalog.pg_stat_activity a USING (pid)
		JOIN pg_catalog.pg_class c ON c.oid = p.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE p.datname = current_database() AND n.nspname = ANY ($1) ORDER BY p.pid`, run.Plan.ShadowSchemas())
	if err != nil {
		return fmt.Errorf("ask how far indexes are: %w", err)
	}
	var query, table string
	var fraction *float64
	_, err = pgx.ForEachRow(rows, []any{&query, &table, &fraction}, func() error {
		item := WorkItem{Name: table, Fraction: fraction}
		if made := madeBy.FindStringSubmatch(query); made != nil {
			item.Name = strings.Trim(made[1], `"`)
		}
		if fraction != nil {
			done += *fraction * all / float64(max(len(weights), 1)) // which one it is, by its number, only its commit tells
		}
		w.Now = append(w.Now, item)
		return nil
	})
	w.Fraction = done / max(all, done, 1)
	return err
}

// Name is what people know a table by.
func (t TableStatus) Name() string { return cmp.Or(t.known, t.Production, t.Shadow) }
