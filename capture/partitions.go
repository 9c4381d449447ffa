package capture

import (
	"context"
	_ "embed" // partitions.sql
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Partitions come and go while a run is under way. Where we have an event
// trigger, a partition that comes gets its triggers in the transaction that
// makes it, and its rows are journalled there; one that goes is journalled like
// a TRUNCATE of it. Without an event trigger [Check] tells, and the table is
// copied again.

//go:embed partitions.sql
var partitionsSQL string

func (j Journal) joinFunction() pg.Name  { return own(fmt.Sprintf("join_%d_%d", j.Run, j.N)) }
func (j Journal) leaveFunction() pg.Name { return own(fmt.Sprintf("leave_%d_%d", j.Run, j.N)) }

// anyMember stands for a partition that is not there yet.
var anyMember = pg.Name{Schema: "{schema}", Name: "{table}"}

// partitionsScript makes what the event trigger calls for each partition that
// came or went; both functions answer whether all of it is journalled.
func (t *target) partitionsScript() string {
	if t.Kind != plans.Partitioned || t.Direction != ToShadow {
		return ""
	}
	came, went := "", ""
	if !t.frozen {
		came = t.everyRow(OpInsert)
		went = "INSERT INTO " + t.Tables()[0].Quoted() + " (op, member) VALUES ('t', {member})"
		if t.Record == plans.RecordImage {
			went = t.everyRow(OpDelete)
		}
	}
	return strings.NewReplacer(
		"{join}", t.joinFunction().Quoted(),
		"{leave}", t.leaveFunction().Quoted(),
		"{any}", pg.Literal(anyMember.Quoted()),
		"{leaf}", pg.Literal(t.memberTriggers(plans.Member{Name: anyMember, Leaf: true})),
		"{branch}", pg.Literal(t.memberTriggers(plans.Member{Name: anyMember})),
		"{came}", pg.Literal(came),
		"{went}", pg.Literal(strings.ReplaceAll(went, "{member}", "$1")),
		"{needed}", pg.Literal(map[bool]string{true: "table", false: "nothing"}[t.Record == plans.RecordImage && !t.frozen]),
		"{prefix}", pg.Literal(triggerPrefix(t.Run)),
		"{most}", fmt.Sprint(t.most),
	).Replace(partitionsSQL)
}

// everyRow journals all rows of a partition: of a table with a key without their
// image, so that replay reads what is there then.
func (t *target) everyRow(op string) string {
	into, values := t.keyEntry(op, "n")
	if t.Record == plans.RecordImage {
		into, values = t.entry(op, "n")
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM ONLY %s AS n", t.Tables()[0].Quoted(), into, values, anyMember.Quoted())
}

// Tree is a partition tree as production has it now, root first. Partitions that
// are detached by half are not in it.
func Tree(ctx context.Context, db pg.Querier, src *plans.Source) ([]plans.Member, error) {
	t := &target{oid: src.OID}
	if err := t.readMembers(ctx, db); err != nil {
		return nil, fmt.Errorf("read the partitions of %s: %w", src.Name, err)
	}
	return t.members, nil
}

// dropLeftTriggers drops a source's triggers from tables that are no longer
// among its members.
func dropLeftTriggers(ctx context.Context, locks locker, run *control.Run, t *target) error {
	tables, err := triggered(ctx, locks.pool, fmt.Sprintf("%s%d_", prefixOf(run, t.Direction), t.N))
	if err != nil {
		return err
	}
	for _, left := range tables {
		member := false
		for _, m := range t.members {
			member = member || m.OID == left.oid
		}
		if member {
			continue
		}
		if err := dropTriggersOf(ctx, locks, run, left); err != nil {
			return fmt.Errorf("drop the triggers of %s: %w", left.name, err)
		}
	}
	return nil
}

// dropPartitionFunctions drops what partitionsScript made for all sources.
func dropPartitionFunctions(ctx context.Context, db pg.Querier, run *control.Run) error {
	rows, err := db.Query(ctx, `SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'pgumbra'::pg_catalog.regnamespace AND p.proname ~ $1`, fmt.Sprintf("^(join|leave)_%d_[0-9]+$", run.ID))
	if err != nil {
		return err
	}
	functions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(functions) == 0 {
		return err
	}
	_, err = db.Exec(ctx, "DROP FUNCTION IF EXISTS "+strings.Join(functions, ", "))
	return err
}
