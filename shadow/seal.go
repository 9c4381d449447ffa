package shadow

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// Until the swap the shadow's schemas are our role's own and closed to all
// others. Tables have production's owners and privileges from the start, which
// nobody can use without USAGE on the schema: as the role of one tenant all
// tenants' rows were read by the shadow's name, which had production's grants
// but no policies yet. Owner and privileges of the schemas come in the swap.
//
// Members of pg_read_all_data need no USAGE: for their sake row security is
// enabled before any row is copied, wherever it does not stand in our own way.

//go:embed seal.sql
var sealSQL string

const (
	tagACL         = "ACL"
	tagSchema      = "SCHEMA"
	tagRowSecurity = "ROW SECURITY"
	tagAccess      = "SCHEMA ACCESS" // what Seal holds back, in the swap
)

// Seal closes the shadow's schemas and, in production, those of its skeleton to
// all roles but ours, and enables row security. Idempotent: for what [Build] has
// made it has nothing to do, for the shadow of an older pgumbra it does the same
// afterwards. Locks rows of pg_namespace, and a table of the shadow whose row
// security was off.
func Seal(ctx context.Context, sides control.Sides, run *control.Run) error {
	for _, pool := range []*pgxpool.Pool{sides.Shadow, sides.Production} {
		err := pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
			if err := control.CheckEpoch(ctx, tx, run); err != nil {
				return err
			}
			if err := seal(ctx, tx, run); err != nil || pool != sides.Shadow {
				return err
			}
			return secureRows(ctx, tx, run)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// seal belongs into each transaction that may have opened a schema.
func seal(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	rows, err := tx.Query(ctx, sealSQL, run.Plan.ShadowSchemas())
	if err != nil {
		return fmt.Errorf("read who may use the shadow's schemas: %w", err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read who may use the shadow's schemas: %w", err)
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("close the shadow to others (%s): %w", sql, err)
		}
	}
	return nil
}

// secureRows enables row security where it would not hide rows from ourselves.
// Where it would, the swap enables it.
func secureRows(ctx context.Context, tx pgx.Tx, run *control.Run) error {
	if err := set(ctx, tx, "lock_timeout", ddlBudget); err != nil {
		return err
	}
	for _, e := range entriesOf(run.Plan, func(e *plans.Entry) bool { return e.Tag == tagRowSecurity }) {
		var due bool
		err := tx.QueryRow(ctx, `SELECT NOT c.relrowsecurity AND (r.rolsuper OR r.rolbypassrls
				OR NOT c.relforcerowsecurity AND pg_catalog.pg_has_role(c.relowner, 'USAGE'))
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.pg_roles r
			WHERE n.nspname = $1 AND c.relname = $2 AND r.rolname = current_user`, e.Table.Schema, e.Table.Name).Scan(&due)
		if err != nil {
			return fmt.Errorf("look at the row security of %s: %w", e.Table, err)
		}
		if !due {
			continue
		}
		if err := runEntry(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

// ownerStatement is the ALTER SCHEMA … OWNER TO in the text of a schema's entry;
// "" if there is none.
func ownerStatement(sql string) string {
	tokens, _ := pgdump.Lex(sql)
	for i := 0; i+5 < len(tokens); i++ {
		t := tokens[i : i+6]
		if t[0].Is("ALTER") && t[1].Is("SCHEMA") && t[3].Is("OWNER") && t[4].Is("TO") {
			return pgdump.Text(sql, t)
		}
	}
	return ""
}

// grantsOnSchema reports whether an entry's text is the privileges of one of the
// shadow's schemas.
func grantsOnSchema(plan *plans.Plan, e *plans.Entry) bool {
	if e.Tag != tagACL || e.Name.Schema != "" {
		return false
	}
	name := strings.TrimPrefix(e.Name.Name, "SCHEMA ") // spelled as in the statement
	return slices.ContainsFunc(plan.Schemas, func(s plans.Schema) bool { return s.Shadow == name || s.Shadow == pg.Unquoted(name) })
}

// access gives the schemas back what [Seal] holds back: first their owners,
// then everybody's privileges.
func access(plan *plans.Plan) []plans.Entry {
	var owners, grants []plans.Entry
	for i := range plan.Entries {
		e := plan.Entries[i]
		switch {
		case e.Tag == tagSchema && e.Stage == plans.StageBuild && e.Name.Schema == "":
			if sql := ownerStatement(e.SQL); sql != "" {
				owners = append(owners, plans.Entry{Tag: tagAccess, Name: e.Name, SQL: sql, Stage: plans.StageSwap})
			}
		case grantsOnSchema(plan, &e):
			grants = append(grants, plans.Entry{Tag: tagAccess, Name: e.Name, SQL: e.SQL, Stage: plans.StageSwap})
		}
	}
	return append(owners, grants...)
}

// lendUsage lets the owners of the shadow's tables use its schemas until the
// swap begins. Building an index, ANALYZE and REFRESH run functions with the
// rights of the table's owner, and what these functions name may be in a schema
// of the shadow. The gate still refuses their writes.
func lendUsage(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		// One at a time: two that change a schema's row at once fail.
		if _, err := tx.Exec(ctx, `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pgumbra usage ' || $1, 0))`, fmt.Sprint(run.ID)); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT DISTINCT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, pg_catalog.pg_get_userbyid(c.relowner))
			FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
			WHERE n.nspname = ANY ($1) AND cn.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'm') AND c.relowner <> n.nspowner`, run.Plan.ShadowSchemas())
		if err != nil {
			return err
		}
		grants, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, sql := range grants {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("let owners use the shadow's schemas: %w", err)
			}
		}
		return nil
	})
}

// asOwner does something in which functions run with the rights of a table's
// owner, a second time if these did not suffice.
func asOwner(ctx context.Context, pool *pgxpool.Pool, run *control.Run, do func() error) error {
	err := do()
	if pg.State(err) != pgerrcode.InsufficientPrivilege {
		return err
	}
	if err := lendUsage(ctx, pool, run); err != nil {
		return err
	}
	return do()
}
