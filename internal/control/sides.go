package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Sides are the two databases of a run. Where the shadow lives in production's
// database both are the same pool, and one transaction does the work of two.
//
// Each side has a control schema. Production's holds the run, its phase, the
// leader, the events and what is captured there; the shadow's holds what must
// change together with the shadow's rows: states and positions of its tables,
// chunks, structure. Production then keeps a copy of the positions, [Mirror],
// which is never ahead of them.
//
// Of a way back the ends are exchanged, see [Sides.Reversed], but for the record.
type Sides struct {
	Production *pgxpool.Pool
	Shadow     *pgxpool.Pool

	reversed bool
}

// Reversed are the sides of a way back: what rows come from is called production.
func (s Sides) Reversed() Sides { return Sides{s.Shadow, s.Production, !s.reversed} }

// Record is the database that holds the run, its phase, leader and events: the one
// that was production when the run began, whichever way rows go.
func (s Sides) Record() *pgxpool.Pool {
	if s.reversed {
		return s.Shadow
	}
	return s.Production
}

// Local are both sides in one database.
func Local(pool *pgxpool.Pool) Sides { return Sides{Production: pool, Shadow: pool} }

// Remote reports whether the shadow is another database.
func (s Sides) Remote() bool { return s.Production != s.Shadow }

// Close closes both pools.
func (s Sides) Close() {
	s.Production.Close()
	if s.Remote() {
		s.Shadow.Close()
	}
}

// Origin is which history a position belongs to. A snapshot's numbers mean
// something in it alone: a standby that was promoted gives them out again.
type Origin struct {
	System   string `json:"system"`   // system identifier of production's cluster
	Timeline string `json:"timeline"` // as in the names of WAL files, eight hex digits
	Database uint32 `json:"database"` // oid
}

// sameDatabase compares all but the timeline.
func (o Origin) sameDatabase(other Origin) bool {
	return o.System == other.System && o.Database == other.Database
}

// ErrOrigin says that production is not the server, or not on the timeline,
// that the shadow's positions are of: it was exchanged, restored or failed over.
// The shadow may hold what production lost; the caller stops the run.
var ErrOrigin = errors.New("production is not the server that the shadow was copied from")

// ReadOrigin asks production who it is.
func ReadOrigin(ctx context.Context, db pg.Querier) (Origin, error) {
	var o Origin
	err := db.QueryRow(ctx, `SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
		pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8),
		(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`).
		Scan(&o.System, &o.Timeline, &o.Database)
	if err != nil {
		return o, fmt.Errorf("ask production who it is: %w", err)
	}
	return o, nil
}

// ErrOtherShadow says that shadow.dsn leads to another database than the one in
// which the run's shadow is. Nothing was changed there.
var ErrOtherShadow = errors.New("shadow.dsn leads to another database than the one that holds this run's shadow")

// SettleShadow notes in production's record, once, which database the shadow is
// in. From then on it returns [ErrOtherShadow] for any other. To be asked before
// anything is written there.
func SettleShadow(ctx context.Context, production, shadow pg.Querier, run *Run) error {
	here, err := ReadOrigin(ctx, shadow)
	if err != nil {
		return fmt.Errorf("the shadow: %w", err)
	}
	here.Timeline = "" // a standby of the shadow's that was promoted is still the shadow
	text, err := pg.JSON(here)
	if err != nil {
		return err
	}
	var known Origin
	err = production.QueryRow(ctx, `UPDATE pgumbra.run SET shadow = coalesce(shadow, $3) WHERE id = $1 AND epoch = $2 RETURNING shadow`,
		run.ID, run.Epoch, text).Scan(&known)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrFencedOff
	}
	if err != nil {
		return fmt.Errorf("note where the shadow is: %w", err)
	}
	return here.mustBe(known)
}

func (o Origin) mustBe(known Origin) error {
	if o == known {
		return nil
	}
	return fmt.Errorf("%w: that is database %d of system %s, this is database %d of system %s",
		ErrOtherShadow, known.Database, known.System, o.Database, o.System)
}

// CheckShadow is [SettleShadow] for who only looks: nothing is noted, and any
// database will do as long as none was.
func CheckShadow(ctx context.Context, production, shadow pg.Querier, run *Run) error {
	here, err := ReadOrigin(ctx, shadow)
	if err != nil {
		return fmt.Errorf("the shadow: %w", err)
	}
	here.Timeline = ""
	var known *Origin
	if err := production.QueryRow(ctx, `SELECT shadow FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&known); err != nil {
		return fmt.Errorf("read where the shadow is: %w", err)
	}
	if known == nil {
		return nil
	}
	return here.mustBe(*known)
}

// Adopt records the run in the control schema of the shadow's own database,
// which [Migrate] made there, under the same number and epoch, with its plan:
// should production be lost, it is all that is left ([FindAdopted]). Repeated by every
// leader: under the lock of the run's row it raises the epoch there too, and this
// process's sessions alone count as the run's from then on. Returns
// [ErrOrigin] when the record there is another production's. A standby of it that
// was promoted passes, to undo the run or to end one that is swapped; who goes on
// asks [CheckOrigin] too.
func Adopt(ctx context.Context, shadow pg.Beginner, run *Run, origin Origin) error {
	text, err := pg.JSON(origin)
	if err != nil {
		return err
	}
	plan, err := pg.JSON(run.Plan)
	if err != nil {
		return err
	}
	var in []byte
	if run.Group != nil {
		if in, err = pg.JSON(run.Group); err != nil {
			return err
		}
	}
	return pg.ReadCommitted(ctx, shadow, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO pgumbra.run (id, name, plan, from_version, to_version, epoch, phase, origin)
			OVERRIDING SYSTEM VALUE VALUES ($1, $2, '{}', $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
			run.ID, run.Name, run.Plan.FromVersion, run.Plan.ToVersion, run.Epoch, run.Phase, text)
		if err != nil {
			return fmt.Errorf("record run %s on the shadow: %w", run.Name, err)
		}
		var name string
		var known Origin
		err = tx.QueryRow(ctx, `SELECT name, coalesce(origin, '{}') FROM pgumbra.run WHERE id = $1 FOR UPDATE`, run.ID).Scan(&name, &known)
		if err != nil {
			return fmt.Errorf("read run %s on the shadow: %w", run.Name, err)
		}
		if name != run.Name || !run.Phase.Swapped() && !known.sameDatabase(origin) {
			return fmt.Errorf("%w: the shadow's control schema belongs to run %s of database %d of system %s; production is database %d of system %s",
				ErrOrigin, name, known.Database, known.System, origin.Database, origin.System)
		}
		// A later upgrade of what is the shadow now counts on from here.
		_, err = tx.Exec(ctx, `WITH raised AS (UPDATE pgumbra.run SET epoch = greatest(epoch, $2), plan = $3, in_group = $4 WHERE id = $1)
			SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence('pgumbra.run', 'id'), (SELECT max(id) FROM pgumbra.run))`, run.ID, run.Epoch, plan, in)
		if err != nil {
			return fmt.Errorf("raise the epoch on the shadow: %w", err)
		}
		return claim(ctx, tx, run)
	})
}

// originOf is the column that holds what the positions of a flow are of, on their side.
// One of its own for the way back: by origin a run is told whose record is another
// database's.
func originOf(flow plans.Direction) string {
	if flow == plans.Back {
		return "origin_back"
	}
	return "origin"
}

// CheckOrigin compares production, as the transaction sees it, with what the
// shadow's positions are of.
func CheckOrigin(ctx context.Context, production, shadow pg.Querier, run *Run) error {
	now, err := ReadOrigin(ctx, production)
	if err != nil {
		return err
	}
	var known Origin
	if err := shadow.QueryRow(ctx, `SELECT coalesce(`+originOf(run.Plan.Flow())+`, '{}') FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&known); err != nil {
		return fmt.Errorf("read what the shadow was copied from: %w", err)
	}
	if now != known {
		return fmt.Errorf("%w: it was copied from system %s on timeline %s; production is system %s on timeline %s",
			ErrOrigin, known.System, known.Timeline, now.System, now.Timeline)
	}
	return nil
}

// Flush returns once production's WAL, as far as it is written now, is on disk,
// and pushes it there if it is not: a transaction that committed
// asynchronously must not reach another server before it is sure to survive a
// crash, since its number would be given out again. To be called after the last
// read and before the shadow's commit.
func Flush(ctx context.Context, production *pgxpool.Pool) error {
	var flushed bool
	err := production.QueryRow(ctx, `SELECT pg_catalog.pg_current_wal_flush_lsn() >= pg_catalog.pg_current_wal_insert_lsn()`).Scan(&flushed)
	if err == nil && !flushed {
		// The commit of a transaction that wrote something waits for all before it.
		_, err = production.Exec(ctx, `SELECT pg_catalog.pg_logical_emit_message(true, 'pgumbra', '')`)
	}
	if err != nil {
		return fmt.Errorf("wait for production's WAL: %w", err)
	}
	return nil
}

// ErrShadowLost says that the shadow lost what it had committed: it was restored
// from a backup, failed over to a standby that was behind, or its control schema
// was dropped. Journals may have been emptied of what is missing, so the caller
// stops the run.
var ErrShadowLost = errors.New("the shadow is behind what it had committed")

// behindSQL finds a table of which the mirror's rows, $2, know more than the
// shadow does: it has no record of it, or a position that does not see all that
// the mirrored one sees, in whatever state it is. No position: it is copied anew.
const behindSQL = `SELECT m.n, coalesce(t.position::text, ''), coalesce(m.position::text, '')
	FROM pg_catalog.json_to_recordset($2) AS m (n integer, position pg_snapshot)
	LEFT JOIN pgumbra.shadow_table t ON t.run_id = $1 AND t.n = m.n
	WHERE t.n IS NULL OR pg_catalog.pg_snapshot_xmin(t.position) < pg_catalog.pg_snapshot_xmin(m.position)
	   OR pg_catalog.pg_snapshot_xmax(t.position) < pg_catalog.pg_snapshot_xmax(m.position)
	   OR EXISTS (SELECT FROM pg_catalog.pg_snapshot_xip(t.position) AS x WHERE pg_catalog.pg_visible_in_snapshot(x, m.position))
	ORDER BY m.n LIMIT 1`

// CheckMirror compares the shadow's positions with production's copy of them,
// which can never be ahead. For runs that are built and not swapped yet.
func CheckMirror(ctx context.Context, production, shadow pg.Querier, run *Run) error {
	var mirrored []byte
	err := production.QueryRow(ctx, `SELECT coalesce(pg_catalog.json_agg(t), '[]') FROM (
		SELECT n, position FROM pgumbra.shadow_table WHERE run_id = $1) t`, run.ID).Scan(&mirrored)
	if err != nil {
		return fmt.Errorf("read production's copy of the positions: %w", err)
	}
	var n int
	var there, copied string
	err = shadow.QueryRow(ctx, behindSQL, run.ID, mirrored).Scan(&n, &there, &copied)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read the shadow's positions: %w", err)
	}
	return fmt.Errorf("%w: table %d stands at snapshot %q there, and had reached %q", ErrShadowLost, n, there, copied)
}

// Mirror copies the states and positions of the shadow's tables to production's
// control schema: status reads them there, and journals are emptied by them. Does
// nothing where both sides are one.
func Mirror(ctx context.Context, sides Sides, run *Run) error {
	if !sides.Remote() {
		return nil
	}
	rows, err := ReadPositions(ctx, sides.Shadow, run, nil)
	if err != nil {
		return err
	}
	return MirrorPositions(ctx, sides.Production, run, rows)
}

// ReadPositions reads what [MirrorPositions] writes, of some tables; nil: of all.
func ReadPositions(ctx context.Context, shadow pg.Querier, run *Run, tables []int) (rows []byte, err error) {
	err = shadow.QueryRow(ctx, `
		SELECT coalesce(pg_catalog.json_agg(t), '[]') FROM (
		SELECT t.*, CASE t.state WHEN 'copying' THEN greatest(t.rows_copied,
		       (SELECT coalesce(sum(c.rows), 0)::bigint FROM pgumbra.chunk c WHERE c.run_id = t.run_id AND c.n = t.n)) ELSE t.rows_copied END AS copied
		FROM pgumbra.shadow_table t WHERE t.run_id = $1 AND ($2::int[] IS NULL OR t.n = ANY ($2))) t`, run.ID, tables).Scan(&rows)
	if err != nil {
		return nil, fmt.Errorf("read the shadow's positions: %w", err)
	}
	return rows, nil
}

// MirrorPositions writes what was committed on the shadow before. It never takes
// the place of what was mirrored of a later moment: without a position a table's
// journal rows would be news to nobody. It may be lost in a crash, and may be late:
// a position that is behind makes a batch that finds nothing new. Of a flow that has
// ended it is nothing: what the other one's rows say is told by other snapshots.
func MirrorPositions(ctx context.Context, production pg.Querier, run *Run, rows []byte) error {
	_, err := production.Exec(ctx, `
		INSERT INTO pgumbra.shadow_table AS old (run_id, n, production, shadow, state, position, rows_copied, rows_total, rows_replayed,
		       verified_at, recopied, recopy_reason, proved, proved_at)
		SELECT $1, n, production, shadow, state, position, copied, rows_total, rows_replayed, verified_at, recopied, recopy_reason, proved, proved_at
		FROM pg_catalog.json_to_recordset($2) AS t (n integer, production text, shadow text, state text, position pg_snapshot, copied bigint,
		       rows_total bigint, rows_replayed bigint, verified_at timestamptz, recopied integer, recopy_reason text,
		       proved pg_snapshot, proved_at timestamptz)
		WHERE pg_catalog.set_config('synchronous_commit', 'off', true) = 'off'
		  AND EXISTS (SELECT FROM pgumbra.run WHERE id = $1 AND flow = $3)
		ON CONFLICT (run_id, n) DO UPDATE SET (production, shadow, state, position, rows_copied, rows_total, rows_replayed, verified_at, recopied, recopy_reason, proved, proved_at) =
		       (EXCLUDED.production, EXCLUDED.shadow, EXCLUDED.state, EXCLUDED.position, EXCLUDED.rows_copied, EXCLUDED.rows_total,
		        EXCLUDED.rows_replayed, EXCLUDED.verified_at, EXCLUDED.recopied, EXCLUDED.recopy_reason, EXCLUDED.proved, EXCLUDED.proved_at)
		WHERE old::text IS DISTINCT FROM EXCLUDED::text AND (old.position IS NULL OR EXCLUDED.recopied > old.recopied
		   OR EXCLUDED.recopied = old.recopied AND pg_catalog.pg_snapshot_xmax(EXCLUDED.position) >= pg_catalog.pg_snapshot_xmax(old.position))`, run.ID, rows, run.Plan.Flow())
	if err != nil {
		return fmt.Errorf("mirror the shadow's positions: %w", err)
	}
	return nil
}
