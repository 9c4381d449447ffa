package control

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Reversed is the run as its way back has it: the same record, leader and epoch,
// with the inverse of its plan. For a run whose rows go back: see [Run.GoesBack].
func (r *Run) Reversed() *Run {
	back := *r
	back.Plan = r.Plan.Inverse()
	return &back
}

// GoesBack reports whether the old side is kept current: from a swap on that
// prepared for it.
func (r *Run) GoesBack() bool { return r.Flow == plans.Back }

// Now is the run as the control schema's rows of its tables have it: [Run.Reversed]
// once its rows go back.
func (r *Run) Now() *Run {
	if r.GoesBack() {
		return r.Reversed()
	}
	return r
}

// Turned notes that a committed swap turned the flow around. Rows that go forward after
// one go there again.
func (r *Run) Turned(now plans.Direction) {
	r.Flow = now
	r.Again = r.Again || now == plans.Forward
}

// TurnedRows are the rows that [TurnAround] writes, column by column: to be made before
// the fence. No JSON, whose escapes a database in SQL_ASCII cannot resolve.
type TurnedRows struct {
	flow               plans.Direction
	n                  []int
	production, shadow []string
	copied, total      []int64
	unlogged           []bool // a crash empties the old table or the new one
}

// ReadBackRows makes the rows of a run's way back.
func ReadBackRows(ctx context.Context, db pg.Querier, run *Run) (*TurnedRows, error) {
	known, err := Tables(ctx, db, run)
	if err != nil {
		return nil, err
	}
	return backRows(run.Plan.Inverse(), known), nil
}

// ReadForwardRows makes the rows of a run that is followed again, from those of its
// way back.
func ReadForwardRows(ctx context.Context, db pg.Querier, run *Run) (*TurnedRows, error) {
	known, err := Tables(ctx, db, run)
	if err != nil {
		return nil, err
	}
	return forwardRows(run.Plan, known), nil
}

// TurnAround makes the rows of a run's tables those of the other direction, in the
// swapping transaction: both sides are equal at a snapshot of it, since the drain
// made it so and the fence has kept it so. No proof counts any more, nor what they went by:
// the swap itself exchanges functions. taken is what the swap took from the side
// that production was.
func TurnAround(ctx context.Context, tx pg.Querier, run *Run, rows *TurnedRows, taken any) error {
	noted, err := pg.JSON(taken)
	if err != nil {
		return err
	}
	if err := forgetFlow(ctx, tx, run); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO pgumbra.shadow_table (run_id, n, production, shadow, state, position, rows_copied, rows_total)
		SELECT $1, n, production, shadow, 'following', pg_catalog.pg_current_snapshot(), copied, total
		FROM ROWS FROM (pg_catalog.unnest($2::integer[]), pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::bigint[]),
			pg_catalog.unnest($6::bigint[])) AS t (n, production, shadow, copied, total)`,
		run.ID, rows.n, rows.production, rows.shadow, rows.copied, rows.total)
	if err == nil {
		err = markUnlogged(ctx, tx, run, rows)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `UPDATE pgumbra.run SET flow = $3, taken = $2, meaning = '' WHERE id = $1`, run.ID, noted, string(rows.flow))
	}
	if err != nil {
		return fmt.Errorf("turn the flow around: %w", err)
	}
	return nil
}

// NoteOrigin notes, in the transaction that turns the flow around on a server of its
// own, which database the positions are of. Never in origin, which on the record's side
// is that of another production.
func NoteOrigin(ctx context.Context, tx pg.Querier, run *Run) error {
	here, err := ReadOrigin(ctx, tx)
	if err != nil {
		return err
	}
	text, err := pg.JSON(here)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE pgumbra.run SET origin_back = $2 WHERE id = $1`, run.ID, text); err != nil {
		return fmt.Errorf("note what the rows start from: %w", err)
	}
	return nil
}

// Turned is what a swap on another server has noted there of the flow that began with it.
type Turned struct {
	Flow          plans.Direction
	rows          []byte
	taken, origin []byte
	unlogged      []int
}

// ReadTurned reads what [TurnAround] and [NoteOrigin] wrote to the database whose COMMIT
// decided; nil: no rows go on from the swap that is committed there.
func ReadTurned(ctx context.Context, decided pg.Querier, run *Run) (*Turned, error) {
	if run.Landing().Over() {
		return nil, nil
	}
	t := new(Turned)
	err := decided.QueryRow(ctx, `SELECT flow, taken, origin_back, (SELECT coalesce(array_agg(n), '{}') FROM pgumbra.unlogged WHERE run_id = $1)
		FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&t.Flow, &t.taken, &t.origin, &t.unlogged)
	if err != nil {
		return nil, fmt.Errorf("read what the swap noted of the flow: %w", err)
	}
	if t.Flow == run.Plan.Flow() { // nothing prepared a way back
		return nil, nil
	}
	t.rows, err = ReadPositions(ctx, decided, run, nil)
	return t, err
}

// Record turns the flow around on the other side too, where the rows go to: from then on
// the positions themselves are there. Repeated once rows went on, it would forget how
// far they came; the caller has locked the run's row and moves its phase in the same
// transaction.
func (t *Turned) Record(ctx context.Context, tx pg.Querier, run *Run) error {
	if err := forgetFlow(ctx, tx, run); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO pgumbra.shadow_table (run_id, n, production, shadow, state, position, rows_copied, rows_total)
		SELECT $1, n, production, shadow, state, position, rows_copied, rows_total
		FROM pg_catalog.json_to_recordset($2) AS t (n integer, production text, shadow text, state text, position pg_snapshot, rows_copied bigint, rows_total bigint)`,
		run.ID, t.rows)
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO pgumbra.unlogged (run_id, n) SELECT $1, n FROM pg_catalog.unnest($2::integer[]) AS t (n)`, run.ID, t.unlogged)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `UPDATE pgumbra.run SET flow = $2, taken = $3, meaning = '', `+originOf(t.Flow)+` = $4 WHERE id = $1`, run.ID, string(t.Flow), t.taken, t.origin)
	}
	if err != nil {
		return fmt.Errorf("turn the flow around: %w", err)
	}
	return nil
}

// forgetFlow removes what is known of the tables of a flow that ends: in one
// statement, since it runs behind the fence.
func forgetFlow(ctx context.Context, tx pg.Querier, run *Run) error {
	_, err := tx.Exec(ctx, `WITH proof AS (DELETE FROM pgumbra.proof WHERE run_id = $1), doubt AS (DELETE FROM pgumbra.doubt WHERE run_id = $1),
		unlogged AS (DELETE FROM pgumbra.unlogged WHERE run_id = $1), refusal AS (DELETE FROM pgumbra.refusal WHERE run_id = $1),
		unfit AS (DELETE FROM pgumbra.unfit WHERE run_id = $1)
		DELETE FROM pgumbra.shadow_table WHERE run_id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("turn the flow around: %w", err)
	}
	return nil
}

func markUnlogged(ctx context.Context, tx pg.Querier, run *Run, rows *TurnedRows) error {
	_, err := tx.Exec(ctx, `INSERT INTO pgumbra.unlogged (run_id, n) SELECT $1, n FROM ROWS FROM (pg_catalog.unnest($2::integer[]), pg_catalog.unnest($3::boolean[])) AS t (n, unlogged) WHERE unlogged`,
		run.ID, rows.n, rows.unlogged)
	return err
}

// backRows keeps how many rows were copied: so many there were.
func backRows(back *plans.Plan, known []Row) *TurnedRows {
	rows := &TurnedRows{flow: plans.Back}
	for i := range back.Tables {
		t := &back.Tables[i]
		var copied, total int64
		for _, k := range known {
			if k.N == t.Source {
				copied, total = k.RowsCopied, k.RowsTotal
			}
		}
		rows.add(t.N, t.Production, t.Shadow, copied, total, t.Unlogged || t.Source >= 0 && back.Sources[t.Source].Unlogged)
	}
	return rows
}

func (r *TurnedRows) add(n int, production, shadow pg.Name, copied, total int64, unlogged bool) {
	r.n = append(r.n, n)
	r.production, r.shadow = append(r.production, production.String()), append(r.shadow, shadow.String())
	r.copied, r.total = append(r.copied, copied), append(r.total, total)
	r.unlogged = append(r.unlogged, unlogged)
}

// forwardRows are of the tables that had a row when the shadow was built.
func forwardRows(plan *plans.Plan, known []Row) *TurnedRows {
	rows := &TurnedRows{flow: plans.Forward}
	back := plan.Inverse()
	for i := range plan.Tables {
		t := &plan.Tables[i]
		if t.Feed != plans.Carried && !t.Captured() {
			continue
		}
		var copied, total int64
		for _, k := range known {
			if k.N < len(back.Tables) && back.Tables[k.N].Source == t.N {
				copied, total = k.RowsCopied, k.RowsTotal
			}
		}
		production := t.Production
		if production.IsZero() {
			production = t.Final
		}
		rows.add(t.N, production, t.Shadow, copied, total, t.Unlogged || t.Source >= 0 && plan.Sources[t.Source].Unlogged)
	}
	return rows
}

// Taken reads into v what the swap took from the old side. False: nothing was noted.
func Taken(ctx context.Context, db pg.Querier, run *Run, v any) (noted bool, err error) {
	var text []byte
	err = db.QueryRow(ctx, `SELECT taken FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&text)
	if err == nil && text != nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return false, fmt.Errorf("read what the swap took from the old side: %w", err)
	}
	return text != nil, nil
}

// Refusal is a row of a new table that the old side refuses.
type Refusal struct {
	N   int
	Key string // empty: not found
	Why string
}

// Refuse notes that the reverse flow of a table stands still.
func Refuse(ctx context.Context, db pg.Querier, run *Run, r Refusal) error {
	_, err := db.Exec(ctx, `INSERT INTO pgumbra.refusal AS old (run_id, n, key, why) VALUES ($1, $2, $3, $4)
		ON CONFLICT (run_id, n) DO UPDATE SET (key, why) = (EXCLUDED.key, EXCLUDED.why)`, run.ID, r.N, pg.ASCII(r.Key), pg.ASCII(r.Why))
	if err != nil {
		return fmt.Errorf("note what the old side refuses: %w", err)
	}
	return nil
}

// Mended forgets what was refused of a table.
func Mended(ctx context.Context, db pg.Querier, run *Run, n int) error {
	_, err := db.Exec(ctx, `DELETE FROM pgumbra.refusal WHERE run_id = $1 AND n = $2`, run.ID, n)
	if err != nil {
		return fmt.Errorf("forget what the old side refused: %w", err)
	}
	return nil
}

// Refusals reads which tables' reverse flow stands still, and why.
func Refusals(ctx context.Context, db pg.Querier, run *Run) ([]Refusal, error) {
	if known, err := knowsBack(ctx, db); err != nil || !known {
		return nil, err
	}
	rows, err := db.Query(ctx, `SELECT n, key, why FROM pgumbra.refusal WHERE run_id = $1 ORDER BY n`, run.ID)
	if err != nil {
		return nil, fmt.Errorf("read what the old side refuses: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Refusal])
	if err != nil {
		return nil, fmt.Errorf("read what the old side refuses: %w", err)
	}
	for i := range all {
		all[i].Key, all[i].Why = pg.FromASCII(all[i].Key), pg.FromASCII(all[i].Why)
	}
	return all, nil
}

// Unfit is a row of a new table that the old one cannot hold, or not as it is.
type Unfit struct {
	N       int
	Key     []string // the values of its key, as text
	Why     string
	LeftOut bool  // the old side keeps what it had of it; otherwise it went back altered
	All     int64 // how many there are of its table
}

// Unfits reads some of each table's rows that do not fit the old side: first those
// that are left out, those that were met last.
func Unfits(ctx context.Context, db pg.Querier, run *Run, most int) ([]Unfit, error) {
	var known bool
	if err := db.QueryRow(ctx, `SELECT pg_catalog.to_regclass('pgumbra.unfit') IS NOT NULL`).Scan(&known); err != nil || !known {
		return nil, err
	}
	rows, err := db.Query(ctx, `SELECT n, key, why, left_out, all_of_them FROM (
			SELECT n, key, why, left_out, count(*) OVER (PARTITION BY n) AS all_of_them, row_number() OVER (PARTITION BY n ORDER BY left_out DESC, at DESC, key) AS place
			FROM pgumbra.unfit WHERE run_id = $1) u
		WHERE place <= $2 ORDER BY n, place`, run.ID, most)
	if err != nil {
		return nil, fmt.Errorf("read which rows do not fit the old side: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Unfit])
	if err != nil {
		return nil, fmt.Errorf("read which rows do not fit the old side: %w", err)
	}
	return all, nil
}

// NoteTidied notes that nothing is left to be done after a rollback.
func NoteTidied(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.run SET rollback = (rollback::jsonb || pg_catalog.jsonb_build_object('tidied', pg_catalog.clock_timestamp()))::json WHERE id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("note that the rollback is tidied up: %w", err)
	}
	return nil
}

// Rollback is the outcome of a run's rollback as JSON, nil before one, and whether
// nothing is left to be done after it. A control schema of an older version knows of
// none.
func Rollback(ctx context.Context, db pg.Querier, run *Run) (outcome []byte, tidied bool, err error) {
	known, err := knowsBack(ctx, db)
	if err == nil && known {
		err = db.QueryRow(ctx, `SELECT rollback, coalesce(rollback->>'tidied', '') <> '' FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&outcome, &tidied)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the rollback's record: %w", err)
	}
	return outcome, tidied, nil
}

func knowsBack(ctx context.Context, db pg.Querier) (known bool, err error) {
	err = db.QueryRow(ctx, `SELECT pg_catalog.to_regclass('pgumbra.refusal') IS NOT NULL`).Scan(&known)
	return known, err
}
