package shadow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// ErrShape says that a partition that came to production has no place in the
// shadow that could be told: the migrations partition the table otherwise. The
// caller stops the run.
var ErrShape = errors.New("the upgraded table is partitioned otherwise, so that a new partition has no place in it")

// arrival is a partition that came to production in mid-run.
type arrival struct {
	member plans.Member
	parent pg.Name
	bound  string // FOR VALUES …, DEFAULT
	by     string // how it is partitioned itself, or ""
	above  string // how its parent is
	owner  string
	grants []string // privilege and grantee, as SQL after GRANT, with {table}
}

// AddPartitions makes partitions that came to a production table in the shadow
// tables copied from it, with the same bounds, owner and privileges, where these
// are partitioned as production's is. Indexes come by themselves. A shadow table
// that is not partitioned has room as it is. What is there already is kept; made
// reports whether something was not. Returns [ErrShape]. Takes ACCESS EXCLUSIVE on
// a DEFAULT partition of the shadow's: our own batches wait.
func AddPartitions(ctx context.Context, sides control.Sides, run *control.Run, src *plans.Source, came []plans.Member) (made bool, err error) {
	for i := range run.Plan.Tables {
		t := &run.Plan.Tables[i]
		if t.Feed != plans.Copied || t.Source != src.N {
			continue
		}
		for _, m := range came {
			a, err := readArrival(ctx, sides.Production, m)
			if err != nil {
				return made, err
			}
			var one bool
			err = pg.ReadCommitted(ctx, sides.Shadow, func(tx pgx.Tx) (err error) {
				if err := control.CheckEpoch(ctx, tx, run); err != nil {
					return err
				}
				one, err = addPartition(ctx, tx, run, src, t, a)
				return err
			})
			if err != nil {
				return made, fmt.Errorf("add the partition %s to the shadow: %w", m.Name, err)
			}
			made = made || one
		}
	}
	return made, nil
}

func readArrival(ctx context.Context, db pg.Querier, m plans.Member) (arrival, error) {
	a := arrival{member: m}
	err := db.QueryRow(ctx, `SELECT n.nspname, p.relname, pg_catalog.pg_get_expr(c.relpartbound, c.oid), coalesce(pg_catalog.pg_get_partkeydef(c.oid), ''),
			pg_catalog.pg_get_partkeydef(p.oid), pg_catalog.pg_get_userbyid(c.relowner),
			ARRAY(SELECT a.privilege_type || ' ON {table} TO ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
				|| CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
				FROM pg_catalog.aclexplode(c.relacl) a WHERE a.grantee <> c.relowner)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
		JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace WHERE c.oid = $1`, m.OID).
		Scan(&a.parent.Schema, &a.parent.Name, &a.bound, &a.by, &a.above, &a.owner, &a.grants)
	if err != nil {
		return a, fmt.Errorf("read the partition %s: %w", m.Name, err)
	}
	return a, nil
}

func addPartition(ctx context.Context, tx pgx.Tx, run *control.Run, src *plans.Source, t *plans.Table, a arrival) (made bool, err error) {
	parent := t.Shadow
	if a.parent != src.Name {
		parent = pg.Name{Schema: shadowSchema(run.Plan, a.parent.Schema), Name: a.parent.Name}
	}
	name := pg.Name{Schema: shadowSchema(run.Plan, a.member.Name.Schema), Name: a.member.Name.Name}
	var root, there bool
	var above, bound string
	err = tx.QueryRow(ctx, `SELECT (SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = $1::regclass),
		coalesce(pg_catalog.pg_get_partkeydef(pg_catalog.to_regclass($2)), ''), pg_catalog.to_regclass($3) IS NOT NULL,
		coalesce((SELECT pg_catalog.pg_get_expr(relpartbound, oid) FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($3)), '')`,
		t.Shadow.Quoted(), parent.Quoted(), name.Quoted()).Scan(&root, &above, &there, &bound)
	if err != nil {
		return false, fmt.Errorf("look up %s: %w", parent, err)
	}
	if !root || there && bound == a.bound {
		return false, nil
	}
	if there {
		return false, fmt.Errorf("%w: %s is there, %s", ErrShape, name, bound)
	}
	if above != a.above || name.Schema == "" {
		return false, fmt.Errorf("%w: %s, by %s in production, by %q in the shadow", ErrShape, a.parent, a.above, above)
	}
	known, err := objects(ctx, tx, run)
	if err != nil {
		return false, err
	}
	script := "CREATE TABLE " + name.Quoted() + " PARTITION OF " + parent.Quoted() + " " + a.bound
	if a.by != "" {
		script += " PARTITION BY " + a.by
	}
	if _, err := tx.Exec(ctx, script); err != nil {
		return false, err
	}
	if err := resetPrivileges(ctx, tx, run, known); err != nil {
		return false, err
	}
	statements := []string{"ALTER TABLE " + name.Quoted() + " OWNER TO " + pg.Ident(a.owner)}
	for _, g := range a.grants {
		statements = append(statements, "GRANT "+strings.ReplaceAll(g, "{table}", name.Quoted()))
	}
	_, err = tx.Exec(ctx, strings.Join(statements, "; "))
	return err == nil, err
}

// DropPartition takes a partition away from the shadow that production has no
// longer, once it is empty there. False: it is not.
func DropPartition(ctx context.Context, sides control.Sides, run *control.Run, gone plans.Member) (bool, error) {
	name := pg.Name{Schema: shadowSchema(run.Plan, gone.Name.Schema), Name: gone.Name.Name}
	dropped := true
	err := pg.ReadCommitted(ctx, sides.Shadow, func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, run); err != nil {
			return err
		}
		var partition bool
		err := tx.QueryRow(ctx, `SELECT coalesce((SELECT relispartition FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)), false)`, name.Quoted()).Scan(&partition)
		if err != nil || !partition {
			return err
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE "+name.Quoted()+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
		var rows bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+name.Quoted()+")").Scan(&rows); err != nil {
			return err
		}
		if dropped = !rows; rows {
			return nil
		}
		_, err = tx.Exec(ctx, "DROP TABLE "+name.Quoted())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("drop the partition %s of the shadow: %w", name, err)
	}
	return dropped, nil
}

func shadowSchema(p *plans.Plan, production string) string {
	s, _ := p.SchemaFor(production)
	return s.Shadow
}
