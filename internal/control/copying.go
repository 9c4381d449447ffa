package control

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Stand is where a shadow table stands, for who looks at one alone.
type Stand struct {
	State    State
	Snapshot string // position; empty: it has none
	Replayed int64  // changes
	Recopied int32  // how often its copy was begun again
	At       time.Time
}

// Where reads where a table stands, and when, by the server's clock.
func Where(ctx context.Context, db pg.Querier, run *Run, n int) (Stand, error) {
	return where(ctx, db, run, n, "")
}

// Hold is [Where] with the table's row locked as by [Lock], but without a look at the
// epoch: for long transactions, which leave the run's row to their end.
func Hold(ctx context.Context, tx pgx.Tx, run *Run, n int) (Stand, error) {
	return where(ctx, tx, run, n, " FOR UPDATE")
}

// Share is [Hold] beside others who do the same. Whoever begins the table's copy
// again waits for all of them.
func Share(ctx context.Context, tx pgx.Tx, run *Run, n int) (Stand, error) {
	return where(ctx, tx, run, n, " FOR SHARE")
}

func where(ctx context.Context, db pg.Querier, run *Run, n int, lock string) (s Stand, err error) {
	err = db.QueryRow(ctx, `SELECT state, coalesce(position::text, ''), rows_replayed, recopied, clock_timestamp()
		FROM pgumbra.shadow_table WHERE run_id = $1 AND n = $2`+lock, run.ID, n).
		Scan(&s.State, &s.Snapshot, &s.Replayed, &s.Recopied, &s.At)
	if err != nil {
		return s, fmt.Errorf("read where table %d stands: %w", n, err)
	}
	return s, nil
}

// ForgetTables removes the rows of an earlier shadow's tables.
func ForgetTables(ctx context.Context, tx pg.Querier, run *Run) error {
	_, err := tx.Exec(ctx, `DELETE FROM pgumbra.shadow_table WHERE run_id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("forget an earlier shadow: %w", err)
	}
	return nil
}

// AddTable makes the row of a shadow table: N, the names, State, RowsCopied and
// RowsTotal of r.
func AddTable(ctx context.Context, tx pg.Querier, run *Run, r Row) error {
	_, err := tx.Exec(ctx, `INSERT INTO pgumbra.shadow_table (run_id, n, production, shadow, state, rows_copied, rows_total)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, run.ID, r.N, r.Production, r.Shadow, r.State, r.RowsCopied, r.RowsTotal)
	if err != nil {
		return fmt.Errorf("record table %d: %w", r.N, err)
	}
	return nil
}

// BeginCopy moves a table on from waiting: its position is a snapshot that was taken
// before the first row, total about how many rows there are.
func BeginCopy(ctx context.Context, tx pg.Querier, run *Run, n int, state State, snapshot string, total int64) error {
	if err := SetPosition(ctx, tx, run, n, snapshot, 0, ProofCleared); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET state = $3, rows_total = $4 WHERE run_id = $1 AND n = $2`, run.ID, n, state, total)
	if err != nil {
		return fmt.Errorf("begin the copy of table %d: %w", n, err)
	}
	return nil
}

// NoteCopied notes how many rows a copy in one transaction brought.
func NoteCopied(ctx context.Context, tx pg.Querier, run *Run, n int, rows int64) error {
	_, err := tx.Exec(ctx, `UPDATE pgumbra.shadow_table SET rows_copied = $3 WHERE run_id = $1 AND n = $2`, run.ID, n, rows)
	if err != nil {
		return fmt.Errorf("note the rows of table %d: %w", n, err)
	}
	return nil
}

// CopyAgain takes a table back to waiting, on the shadow's side: no position, no
// chunk, no proof.
func CopyAgain(ctx context.Context, tx pg.Querier, run *Run, n int, reason string) error {
	_, err := tx.Exec(ctx, `DELETE FROM pgumbra.chunk WHERE run_id = $1 AND n = $2`, run.ID, n)
	if err == nil {
		_, err = tx.Exec(ctx, `
			UPDATE pgumbra.shadow_table SET state = $3, position = NULL, pieces = NULL, pieces_done = 0, pieces_position = NULL,
			       rows_copied = 0, verified_at = NULL, proved = NULL, proved_at = NULL, recopied = recopied + 1, recopy_reason = $4
			WHERE run_id = $1 AND n = $2`, run.ID, n, Waiting, pg.ASCII(reason))
	}
	if err != nil {
		return fmt.Errorf("copy table %d again: %w", n, err)
	}
	return nil
}

// EndCopy moves a table on once all its chunks are done, if its copy was not begun
// again meanwhile.
func EndCopy(ctx context.Context, tx pg.Querier, run *Run, n int, recopied int32) error {
	_, err := tx.Exec(ctx, `
		UPDATE pgumbra.shadow_table t
		SET state = $4, rows_copied = (SELECT coalesce(sum(c.rows), 0) FROM pgumbra.chunk c WHERE c.run_id = $1 AND c.n = $2)
		WHERE t.run_id = $1 AND t.n = $2 AND t.recopied = $3
		  AND NOT EXISTS (SELECT FROM pgumbra.chunk c WHERE c.run_id = $1 AND c.n = $2 AND c.done_at IS NULL)`,
		run.ID, n, recopied, Keying)
	if err != nil {
		return fmt.Errorf("end the copy of table %d: %w", n, err)
	}
	return nil
}

// Chunk is a range of pages of one leaf of a production table.
type Chunk struct {
	Number      int32
	Member      uint32 // the leaf
	Filenode    uint32 // that it had
	First, Last int64  // pages; Last is exclusive
}

// AddChunks divides a leaf into chunks of so many pages, and says how many there are.
// They are numbered from first on.
func AddChunks(ctx context.Context, tx pg.Querier, run *Run, n int, first int64, member, filenode uint32, pages, step int64) (int64, error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO pgumbra.chunk (run_id, n, chunk, member, filenode, first_page, last_page)
		SELECT $1, $2, $3::bigint + p / $7::bigint, $4, $5, p, least(p + $7::bigint, $6::bigint)
		FROM pg_catalog.generate_series(0, $6::bigint - 1, $7::bigint) AS p`,
		run.ID, n, first, member, filenode, pages, step)
	if err != nil {
		return 0, fmt.Errorf("divide table %d into chunks: %w", n, err)
	}
	return tag.RowsAffected(), nil
}

// CopyState is how far the copy of a table came.
type CopyState struct {
	Recopied   int32
	RowsTotal  int64 // an estimate
	Rows       int64 // copied
	PageSize   int64
	PagesTotal int64
	Pages      int64 // copied
	Chunks     int
	Left       []Chunk // that are not done
}

// ReadCopy reads how far the copy of a table came.
func ReadCopy(ctx context.Context, db pg.Querier, run *Run, n int) (c CopyState, err error) {
	var left int
	err = db.QueryRow(ctx, `
		SELECT t.recopied, t.rows_total, pg_catalog.current_setting('block_size')::bigint,
		       count(c.chunk), count(c.chunk) FILTER (WHERE c.done_at IS NULL), coalesce(sum(c.rows), 0)::bigint,
		       coalesce(sum(c.last_page - c.first_page), 0)::bigint,
		       coalesce(sum(c.last_page - c.first_page) FILTER (WHERE c.done_at IS NOT NULL), 0)::bigint
		FROM pgumbra.shadow_table t LEFT JOIN pgumbra.chunk c USING (run_id, n)
		WHERE t.run_id = $1 AND t.n = $2 GROUP BY t.run_id, t.n`, run.ID, n).
		Scan(&c.Recopied, &c.RowsTotal, &c.PageSize, &c.Chunks, &left, &c.Rows, &c.PagesTotal, &c.Pages)
	if err == nil && left > 0 {
		c.Left, err = chunksLeft(ctx, db, run, n)
	}
	if err != nil {
		return c, fmt.Errorf("read the chunks of table %d: %w", n, err)
	}
	return c, nil
}

func chunksLeft(ctx context.Context, db pg.Querier, run *Run, n int) ([]Chunk, error) {
	rows, err := db.Query(ctx, `SELECT chunk, member, filenode, first_page, last_page FROM pgumbra.chunk
		WHERE run_id = $1 AND n = $2 AND done_at IS NULL ORDER BY chunk`, run.ID, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Chunk])
}

// EndChunk notes a chunk in the transaction that wrote its rows. False: it is done,
// or the copy was begun again.
func EndChunk(ctx context.Context, tx pg.Querier, run *Run, n int, chunk int32, rows int64) (bool, error) {
	tag, err := tx.Exec(ctx, `UPDATE pgumbra.chunk SET rows = $4, done_at = pg_catalog.clock_timestamp()
		WHERE run_id = $1 AND n = $2 AND chunk = $3 AND done_at IS NULL`, run.ID, n, chunk, rows)
	if err != nil {
		return false, fmt.Errorf("note chunk %d of table %d: %w", chunk, n, err)
	}
	return tag.RowsAffected() == 1, nil
}
