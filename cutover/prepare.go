package cutover

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// prepare does before the fence whatever needs no fence: reverse journals, the write block
// on tables that came, functions of the triggers, golang-migrate's row in the shadow.
// Idempotent.
func (c *Cutover) prepare(ctx context.Context) error {
	if c.backwards() {
		return c.prepareBack(ctx)
	}
	if err := c.prepareShadow(ctx); err != nil {
		return err
	}
	if err := c.CloseShadow(ctx); err != nil {
		return err
	}
	return pg.ReadCommitted(ctx, c.Sides.Production, func(tx pgx.Tx) error {
		if err := c.prepareFunctions(ctx, tx); err != nil {
			return err
		}
		return c.versionInShadow(ctx, tx)
	})
}

// prepareFunctions makes those of the guards and of the fence.
func (c *Cutover) prepareFunctions(ctx context.Context, tx pgx.Tx) error {
	if err := control.CheckEpoch(ctx, tx, c.Upgrade); err != nil {
		return err
	}
	if err := prepareGuards(ctx, tx, c.Upgrade); err != nil {
		return err
	}
	return makeFunction(ctx, tx, fenceFunction(c.Upgrade, control.Ours(c.Upgrade)), fenceName(c.Upgrade))
}

// prepareShadow is what a swap needs of the side that rows go to, wherever it is: no row
// that one of its foreign keys would refuse, and the journals of the flow that begins with
// the swap, if one does.
func (c *Cutover) prepareShadow(ctx context.Context) error {
	if err := c.orphans(ctx); err != nil {
		return err
	}
	if err := c.Parts.PrepareReverse(ctx); err != nil {
		return fmt.Errorf("prepare to capture the %s: %w", c.Upgrade.Plan.Landed(), err)
	}
	return nil
}

// fenceName is the fence's function: of a rollback the one that fences the new side.
func fenceName(run *control.Run) pg.Name {
	if run.Plan.Backwards() {
		return pg.Name{Schema: control.Schema, Name: fmt.Sprintf("fence_%d_back", run.ID)}
	}
	return oldFenceName(run)
}

// oldFenceName is the function that fences the old side from the swap on.
func oldFenceName(run *control.Run) pg.Name {
	return pg.Name{Schema: control.Schema, Name: fmt.Sprintf("fence_%d", run.ID)}
}

// fenceFunction lets a condition pass: sessions of ours, as long as there are any.
func fenceFunction(run *control.Run, pass string) string {
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $pgumbra$
BEGIN
    IF %s THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '%%.%% is the %s side of upgrade %%: the data live in %% now', TG_TABLE_SCHEMA, TG_TABLE_NAME, %s, TG_ARGV[0]
        USING ERRCODE = '25006', HINT = 'Write to the table by its name; a function or view that still leads here must be made again.';
END
$pgumbra$`, fenceName(run).Quoted(), pass, fencedSide(run), pg.Literal(run.Name))
}

// fencedSide is what the side that the swap fences is to people from then on.
func fencedSide(run *control.Run) string {
	if run.Plan.Backwards() {
		return "abandoned"
	}
	return "old"
}

const (
	functionACL = `SELECT DISTINCT a.grantee FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace
		CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(o.proacl, pg_catalog.acldefault('f', o.proowner))) a
		WHERE n.nspname = $1 AND o.proname = $2 AND a.grantee <> o.proowner`
	tableACL = `SELECT DISTINCT a.grantee FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
		CROSS JOIN LATERAL pg_catalog.aclexplode(o.relacl) a
		WHERE n.nspname = $1 AND o.relname = $2 AND a.grantee <> o.relowner`
)

// strip takes away what default privileges gave others on an object that we
// made.
func strip(ctx context.Context, tx pg.Querier, kind, identity, grantees string, name pg.Name) error {
	rows, err := tx.Query(ctx, `SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END
		FROM (`+grantees+`) g`, name.Schema, name.Name)
	if err != nil {
		return fmt.Errorf("read privileges on %s: %w", name, err)
	}
	others, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read privileges on %s: %w", name, err)
	}
	if len(others) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "REVOKE ALL ON "+kind+" "+identity+" FROM "+strings.Join(others, ", ")); err != nil {
		return fmt.Errorf("revoke default privileges on %s: %w", name, err)
	}
	return nil
}

// versionInShadow writes golang-migrate's row to the shadow's own version table
// already now: nobody sees it before the swap, and from then on every snapshot
// does.
func (c *Cutover) versionInShadow(ctx context.Context, tx pgx.Tx) error {
	name, built, moves := movingVersion(c.Upgrade.Plan)
	if !moves {
		return nil
	}
	var there bool
	err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name.Quoted()).Scan(&there)
	if err != nil {
		return fmt.Errorf("look for the version table: %w", err)
	}
	for _, sql := range versionRow(name, built) {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("version table %s: %w", name, err)
		}
	}
	if there {
		return nil
	}
	return strip(ctx, tx, "TABLE", name.Quoted(), tableACL, name)
}

// movingVersion is the shadow's version table, which moves with a schema, and what it
// says before the swap.
func movingVersion(plan *plans.Plan) (name pg.Name, built int64, moves bool) {
	v, version := plan.VersionTable, plan.BuiltVersion()
	if v == nil || !v.Moves || version == nil {
		return pg.Name{}, 0, false
	}
	name = v.Name
	if s, ok := plan.SchemaFor(name.Schema); ok {
		name.Schema = s.Shadow
	}
	return name, *version, true
}

// versionAhead is what [Cutover.versionInShadow] sends, for a dry run.
func versionAhead(plan *plans.Plan) []string {
	name, version, moves := movingVersion(plan)
	if !moves {
		return nil
	}
	row := versionRow(name, version)
	row[0] = "-- in the shadow, before the fence\n" + row[0]
	return row
}

// versionRow leaves one row, as golang-migrate does. The table has its
// structure where it must be made.
func versionRow(name pg.Name, version int64) []string {
	return []string{
		"CREATE TABLE IF NOT EXISTS " + name.Quoted() + " (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)",
		"DELETE FROM " + name.Quoted(),
		fmt.Sprintf("INSERT INTO %s (version, dirty) VALUES (%d, false)", name.Quoted(), version),
	}
}

// CodeKeyViolated is the code of a blocker: rows break a foreign key that the
// migrations bring.
const CodeKeyViolated = "foreign-key-violated"

// orphans asks for rows without the row they refer to: validating their
// foreign keys after the swap would fail.
func (c *Cutover) orphans(ctx context.Context) error {
	within := max(c.settings().VerifyWithin, time.Minute)
	if time.Since(c.keysClean) < within && !c.backwards() { // no swap makes the old side's keys anew, which would ask once more
		return nil
	}
	violated, err := c.Parts.NewForeignKeys(ctx)
	if err != nil {
		return err
	}
	if all := KeysViolated(violated); len(all) > 0 {
		return refuse(all...)
	}
	c.keysClean = time.Now()
	return nil
}

// KeysViolated are what rows that break foreign keys, as [Looks] describes them, are to a swap.
func KeysViolated(violated []string) (all []Blocker) {
	for _, v := range violated {
		all = append(all, Blocker{Code: CodeKeyViolated, Message: v, Fix: "correct the rows in production", Lasting: true})
	}
	return all
}
