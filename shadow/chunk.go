package shadow

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// chunk is a page range of one leaf.
type chunk struct {
	number      int32
	member      plans.Member
	filenode    uint32
	first, last int64 // pages; last is exclusive
	rows        int64 // once copied
}

// lower is the smallest ctid of a page.
func lower(page int64) string { return fmt.Sprintf("(%d,0)", page) }

// maxChunkBytes bounds what a chunk reads, TOAST included: rows of a megabyte
// each would make a transaction of 50,000 of them run for minutes.
const maxChunkBytes = 256 << 20

// leaf is a table that holds rows, as it is when its table's copy begins.
type leaf struct {
	member   plans.Member
	filenode uint32
	pages    int64
	step     int64 // pages a chunk
	rows     int64 // estimate
}

// planChunks records a table's position and its chunks in one transaction. The
// position is taken first: whatever the sizes read after it do not cover was
// written after it too, and is in the journal. Of each leaf the filenode is read
// before the size, so that a rewrite in between is noticed by the first chunk.
func (c *Copier) planChunks(ctx context.Context, t *plans.Table) (*tableCopy, error) {
	err := across(ctx, c.Sides, c.Run, pg.ReadCommitted, func(e ends) error {
		p, err := control.Lock(ctx, e.shadow, c.Run, t.N)
		if err != nil || p.State != control.Waiting && p.State != control.CopyingRow {
			return err
		}
		var position string
		if err := e.production.QueryRow(ctx, `SELECT pg_catalog.pg_current_snapshot()::text`).Scan(&position); err != nil {
			return err
		}
		leaves, err := c.leaves(ctx, e.production, t)
		if err != nil {
			return err
		}
		chunks, rows, err := c.recordChunks(ctx, e, t, leaves)
		if err != nil {
			return err
		}
		state := control.CopyingRow
		if chunks == 0 {
			state = control.Keying
		}
		return c.setBegun(ctx, e, t, state, position, rows)
	})
	if err != nil {
		return nil, err
	}
	return loadChunks(ctx, c.Sides.Shadow, c.Run, t)
}

// setBegun moves a table on from waiting. The position is its own.
func (c *Copier) setBegun(ctx context.Context, e ends, t *plans.Table, state control.State, position string, rows int64) error {
	if err := control.BeginCopy(ctx, e.shadow, c.Run, t.N, state, position, rows); err != nil {
		return err
	}
	return markUnlogged(ctx, e, c.Run, t)
}

// leaves reads the members that hold rows, and refuses when they are not those
// of the plan: rows of a partition that nobody captures would be lost.
func (c *Copier) leaves(ctx context.Context, db pg.Querier, t *plans.Table) ([]leaf, error) {
	source := &c.Run.Plan.Sources[t.Source]
	members := map[uint32]plans.Member{}
	for _, m := range source.Members {
		if m.Leaf {
			members[m.OID] = m
		}
	}
	rows, err := db.Query(ctx, `
		SELECT c.oid, pg_catalog.pg_relation_filenode(c.oid),
		       pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint,
		       CASE WHEN c.reltoastrelid <> 0 THEN pg_catalog.pg_relation_size(c.reltoastrelid) ELSE 0 END,
		       c.reltuples, c.relpages
		FROM pg_catalog.pg_class c
		WHERE c.relkind NOT IN ('p', 'f') AND c.oid IN (
		      SELECT relid FROM pg_catalog.pg_partition_tree($1::oid) UNION SELECT $1::oid)
		ORDER BY c.oid`, source.OID)
	if err != nil {
		return nil, err
	}
	var leaves []leaf
	var l leaf
	var oid uint32
	var toast int64
	var tuples float32
	var pages int32
	_, err = pgx.ForEachRow(rows, []any{&oid, &l.filenode, &l.pages, &toast, &tuples, &pages}, func() error {
		m, known := members[oid]
		if !known {
			return fmt.Errorf("%s has a partition (oid %d) that the plan does not know", source.Name, oid)
		}
		delete(members, oid)
		l.member, l.rows = m, -1
		if tuples >= 0 && pages > 0 {
			l.rows = int64(float64(tuples) / float64(pages) * float64(l.pages))
		}
		l.step = maxChunkBytes / pageBytes(l.pages, toast)
		leaves = append(leaves, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		return nil, fmt.Errorf("table %s is not there any more", m.Name)
	}
	return leaves, nil
}

// pageBytes is what reading a heap page brings with it.
func pageBytes(pages, toast int64) int64 {
	const heap = 8192
	return heap + toast/max(1, pages)
}

// recordChunks writes the chunks of all leaves. The last one of a leaf ends at
// the size seen now.
func (c *Copier) recordChunks(ctx context.Context, e ends, t *plans.Table, leaves []leaf) (chunks, rows int64, err error) {
	for _, l := range leaves {
		if l.pages == 0 {
			continue
		}
		if l.rows < 0 {
			if err := setAll(ctx, e.production, productionPath(c.Run)...); err != nil {
				return 0, 0, err
			}
			if l.rows, err = sample(ctx, e.production, l); err != nil {
				return 0, 0, err
			}
		}
		added, err := control.AddChunks(ctx, e.shadow, c.Run, t.N, chunks, l.member.OID, l.filenode, l.pages, c.step(l))
		if err != nil {
			return 0, 0, err
		}
		chunks += added
		rows += l.rows
	}
	return chunks, rows, nil
}

// step is how many pages make a chunk of about chunk_rows rows.
func (c *Copier) step(l leaf) int64 {
	wanted := max(1, c.Run.Plan.Settings.Copy.ChunkRows)
	pages := l.pages
	if l.rows > 0 {
		pages = int64(float64(wanted) / float64(l.rows) * float64(l.pages))
	}
	return max(1, min(pages, l.step))
}

// sample estimates the rows of a table that was never analyzed, from a few pages.
func sample(ctx context.Context, tx pgx.Tx, l leaf) (int64, error) {
	const few = 20
	var rows int64
	err := tx.QueryRow(ctx, "SELECT pg_catalog.count(*) FROM ONLY "+l.member.Name.Quoted()+" AS t WHERE t.ctid < $1::pg_catalog.tid",
		lower(few)).Scan(&rows)
	return rows * l.pages / min(few, l.pages), err
}

// loadChunks reads a table's unfinished chunks, and how far the others came.
func loadChunks(ctx context.Context, db pg.Querier, run *control.Run, t *plans.Table) (*tableCopy, error) {
	at, err := control.ReadCopy(ctx, db, run, t.N)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", productionName(t), err)
	}
	planned := &tableCopy{Table: t, generation: at.Recopied, rowsTotal: at.RowsTotal, pageSize: at.PageSize, total: at.Chunks, pagesTotal: at.PagesTotal}
	planned.left.Store(int64(len(at.Left)))
	planned.rows.Store(at.Rows)
	planned.pages.Store(at.Pages)
	if len(at.Left) == 0 {
		return planned, nil
	}
	members := map[uint32]plans.Member{}
	for _, m := range run.Plan.Sources[t.Source].Members {
		members[m.OID] = m
	}
	for _, c := range at.Left {
		planned.chunks = append(planned.chunks, &chunk{number: c.Number, member: members[c.Member], filenode: c.Filenode, first: c.First, last: c.Last})
	}
	return planned, nil
}

// copyChunk copies one chunk. Order of locks: the table's row FOR SHARE (a
// recopy waits for chunks in flight, and chunks that come after it see that they
// are stale), the leaf, the shadow, at last the run's row.
func (c *Copier) copyChunk(ctx context.Context, j job) error {
	return across(ctx, c.Sides, c.Run, pg.ReadCommitted, func(e ends) error {
		if err := c.prepare(ctx, e); err != nil {
			return err
		}
		if err := c.fresh(ctx, e.shadow, j.table); err != nil {
			return err
		}
		if err := lockLeaf(ctx, e.production, j.chunk); err != nil {
			return err
		}
		k := j.chunk
		var err error
		k.rows, err = c.transfer(ctx, e, j.table.Table, k.member.Name, &pageRange{lower(k.first), lower(k.last)})
		if err != nil {
			return err
		}
		if err := c.recordDone(ctx, e.shadow, j); err != nil {
			return err
		}
		return control.CheckEpoch(ctx, e.shadow, c.Run)
	})
}

// prepare sets what copying transactions need. The shadow's may commit
// asynchronously: its rows and the record of them are in the same transaction, so
// a crash takes both or none; and in one database it comes after every
// transaction whose rows it read in the same WAL, so it can't survive one of
// those.
func (c *Copier) prepare(ctx context.Context, e ends) error {
	patience := setting{"lock_timeout", lockWait}
	err := setAll(ctx, e.shadow, append(pathOnShadow(c.Run), patience, setting{"synchronous_commit", "off"})...)
	if err != nil || !e.remote() {
		return err
	}
	return setAll(ctx, e.production, append(productionPath(c.Run), patience)...)
}

func (c *Copier) fresh(ctx context.Context, tx pgx.Tx, t *tableCopy) error {
	at, err := control.Share(ctx, tx, c.Run, t.N)
	if err != nil {
		return err
	}
	if at.State != control.CopyingRow || at.Recopied != t.generation {
		return errStale
	}
	return nil
}

// lockLeaf keeps the leaf's file as it is until the commit, and compares it.
func lockLeaf(ctx context.Context, tx pgx.Tx, k *chunk) error {
	if err := lockMember(ctx, tx, k.member); err != nil {
		return err
	}
	var filenode uint32
	err := tx.QueryRow(ctx, `SELECT pg_catalog.pg_relation_filenode($1::oid)`, k.member.OID).Scan(&filenode)
	if err != nil {
		return err
	}
	if filenode != k.filenode {
		return errRewritten
	}
	return nil
}

// lockMember takes ACCESS SHARE and makes sure that the name still leads to the
// table that is captured.
func lockMember(ctx context.Context, tx pgx.Tx, m plans.Member) error {
	if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+m.Name.Quoted()+" IN ACCESS SHARE MODE"); err != nil {
		return err
	}
	return sameTable(ctx, tx, m)
}

func sameTable(ctx context.Context, tx pgx.Tx, m plans.Member) error {
	var same bool
	err := tx.QueryRow(ctx, `SELECT coalesce(pg_catalog.to_regclass($1)::oid = $2::oid, false)`, m.Name.Quoted(), m.OID).Scan(&same)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%s is another table now than the one that is captured", m.Name)
	}
	return nil
}

func (c *Copier) recordDone(ctx context.Context, tx pgx.Tx, j job) error {
	noted, err := control.EndChunk(ctx, tx, c.Run, j.table.N, j.chunk.number, j.chunk.rows)
	if err == nil && !noted {
		return errStale
	}
	return err
}
