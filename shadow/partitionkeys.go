package shadow

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Built are foreign keys that stand on the shadow before the swap, by the numbers
// of their entries.
type Built map[int]bool

// partitionKeys are the foreign keys of partitioned tables between tables that are
// fed. A key on each leaf, which is all that can be had NOT VALID before PostgreSQL
// 18, makes a constraint and two triggers of each pair of partitions: 32 times 32
// took 0.3 to 0.7 s, a key on the root 0.06 to 0.09 s and 64 of them.
func partitionKeys(plan *plans.Plan) []foreignKey {
	return slices.DeleteFunc(foreignKeys(plan), func(k foreignKey) bool {
		return len(k.leaves) == 0 || !k.valid || plan.TableOf(k.table) == nil || plan.TableOf(k.references) == nil
	})
}

// Unchecked reports whether replay is to write the shadow with
// session_replication_role = replica: the plan has keys for [BuildPartitionKeys],
// and the role may set it (a superuser, or who was granted SET on it, from
// PostgreSQL 15 on). Otherwise no foreign key may stand there while tables are at
// different positions.
func Unchecked(ctx context.Context, sides control.Sides, run *control.Run) (bool, error) {
	if len(partitionKeys(run.Plan)) == 0 {
		return false, nil
	}
	err := pg.ReadCommitted(ctx, sides.Shadow, func(tx pgx.Tx) error {
		return set(ctx, tx, "session_replication_role", "replica")
	})
	if pg.State(err) == pgerrcode.InsufficientPrivilege {
		return false, nil
	}
	return err == nil, err
}

// Checks say whether what is replayed meets the shadow's foreign keys.
type Checks int

// The ways of replay.
const (
	Checked Checks = iota // no foreign key may stand on the shadow
	Replica               // they do not concern what is replayed: [Unchecked]
)

// BuildPartitionKeys makes the foreign keys of partitioned tables before the fence,
// on the root and validated, each in a transaction of its own behind SHARE ROW
// EXCLUSIVE on two trees of the shadow, where only we write; it reads both. align
// brings both to one snapshot of production before, so that no row refers to one
// that is still to be replayed; a key that rows break all the same is left for the
// swap, and whoever asks for broken keys before it. Idempotent. Where rows that are
// replayed are [Checked], it takes away what is there instead.
func BuildPartitionKeys(ctx context.Context, sides control.Sides, run *control.Run, how Checks,
	align func(context.Context, []*plans.Table) error) error {
	states, err := control.States(ctx, sides.Shadow, run)
	if err != nil {
		return err
	}
	for _, k := range partitionKeys(run.Plan) {
		there, err := foreignKeyOf(ctx, sides.Shadow, k.table, k.name)
		if err != nil {
			return err
		}
		ends := k.ends(run.Plan)
		switch follow := !slices.ContainsFunc(ends, func(t *plans.Table) bool { return states[t.N] != control.FollowingState }); {
		case how == Checked && there != nil:
			err = k.alone(ctx, sides.Shadow, run, ends, k.drop())
		case how == Replica && there == nil && follow:
			if err = align(ctx, ends); err == nil {
				err = k.alone(ctx, sides.Shadow, run, ends, k.onTree())
			}
		}
		if err != nil && pg.State(err) != pgerrcode.ForeignKeyViolation {
			return fmt.Errorf("foreign key %s of %s: %w", k.name, k.table, err)
		}
	}
	return nil
}

// ends are the tables of a key, in the plan's order.
func (k foreignKey) ends(plan *plans.Plan) []*plans.Table {
	ends := []*plans.Table{plan.TableOf(k.table)}
	if k.references != k.table {
		ends = append(ends, plan.TableOf(k.references))
	}
	slices.SortFunc(ends, func(a, b *plans.Table) int { return a.N - b.N })
	return ends
}

// alone runs a statement while nobody replays into the key's tables.
func (k foreignKey) alone(ctx context.Context, pool *pgxpool.Pool, run *control.Run, ends []*plans.Table, sql string) error {
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		for _, t := range ends {
			if _, err := control.Lock(ctx, tx, run, t.N); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, sql)
		return err
	})
}

func (k foreignKey) onTree() string {
	return "ALTER TABLE " + k.table.Quoted() + " ADD CONSTRAINT " + pg.Ident(k.name) + " " + k.definition
}

func (k foreignKey) drop() string {
	return "ALTER TABLE " + k.table.Quoted() + " DROP CONSTRAINT " + pg.Ident(k.name)
}

// BuiltKeys reads which keys stand on the shadow: the swap leaves these out.
func BuiltKeys(ctx context.Context, sides control.Sides, run *control.Run) (Built, error) {
	built := Built{}
	for _, k := range partitionKeys(run.Plan) {
		there, err := foreignKeyOf(ctx, sides.Shadow, k.table, k.name)
		if err != nil {
			return nil, fmt.Errorf("look for foreign key %s of %s: %w", k.name, k.table, err)
		}
		built[k.entry.TOC] = there != nil && there.valid
	}
	return built, nil
}

// checkBuilt asks, once clients' names lead to it, for rows that break a key that
// stood before the swap: replay has not asked. What production guaranteed needs no
// asking; of what the migrations bring some row may have come since it was asked
// for the last time.
func checkBuilt(ctx context.Context, pool *pgxpool.Pool, run *control.Run, k foreignKey) error {
	there, err := foreignKeyOf(ctx, pool, final(run.Plan, k.table), k.name)
	if err != nil || there == nil {
		return err
	}
	for _, n := range run.Plan.NewFKs {
		if n.Table != k.table || n.Name != k.name {
			continue
		}
		n.Table, n.References = final(run.Plan, n.Table), final(run.Plan, n.References)
		v, err := check(ctx, pool, n, referring{})
		if err == nil && v.Rows > 0 {
			err = fmt.Errorf("%s; correct them and type pgumbra run", v)
		}
		if err != nil {
			return fmt.Errorf("check foreign key %s of %s: %w", n.Name, n.Table, err)
		}
	}
	return nil
}

// dropForeignKeys takes the keys of a shadow table away, those that refer to it
// too: it cannot be emptied otherwise. [BuildPartitionKeys] makes them again.
func dropForeignKeys(ctx context.Context, tx pgx.Tx, t *plans.Table) error {
	rows, err := tx.Query(ctx, `
		WITH tree AS (SELECT relid::oid AS oid FROM pg_catalog.pg_partition_tree($1::regclass) UNION SELECT $1::regclass::oid)
		SELECT pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I', n.nspname, c.relname, k.conname)
		FROM pg_catalog.pg_constraint k
		JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid IN (SELECT oid FROM tree) OR k.confrelid IN (SELECT oid FROM tree))`, t.Shadow.Quoted())
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
