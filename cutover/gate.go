package cutover

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Both stand while capture compares fingerprints, which leave names out that
// begin like this; and they fire before all others of their kind.
const (
	// remoteFenceTrigger refuses writes to production, once its function is closed,
	// in a cutover to another database, or to the new side in a rollback from there.
	remoteFenceTrigger = "!pgumbra_fence"
	// writeBlockTrigger refuses writes to the shadow, from its build until its function
	// is opened in the swap. Sessions of ours pass.
	writeBlockTrigger = "!pgumbra_gate"
)

func writeBlockName(run *control.Run) pg.Name {
	return pg.Name{Schema: control.Schema, Name: fmt.Sprintf("gate_%d", run.ID)}
}

// The functions of fence and write block are closed and opened by replacing them: that
// takes no lock on any table. Who gets a lock for writing after the commit that
// did it sees the new body, since waiting for a lock ends with a look at what
// changed in the catalogs.
const (
	closedText = `CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $pgumbra$
BEGIN
    IF %s THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '%%', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME || %s USING ERRCODE = '25006', HINT = %s;
END
$pgumbra$`
	openText = `CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`
)

// closedFence names the place where clients belong from now on, and lets a
// condition pass: sessions of ours, as long as there are any.
func closedFence(run *control.Run, place, pass string) string {
	place = pg.ASCII(place)
	return fmt.Sprintf(closedText, fenceName(run).Quoted(), pass,
		pg.Literal(" is the "+fencedSide(run)+" side of upgrade "+run.Name+": the data live at "+place+" now"),
		pg.Literal("Connect to "+place+"; this server answers queries of old data only."))
}

func closedWriteBlock(run *control.Run) string {
	return fmt.Sprintf(closedText, writeBlockName(run).Quoted(), control.Ours(run),
		pg.Literal(" belongs to upgrade "+run.Name+", which has not got here yet"),
		pg.Literal("Go on writing to the database that is upgraded."))
}

func opened(function pg.Name) string { return fmt.Sprintf(openText, function.Quoted()) }

// remoteFence puts the fence's triggers on tables. The caller holds locks that
// keep writers out.
func remoteFence(run *control.Run, tables []relation) []string {
	return always(remoteFenceTrigger, tables, fenceName(run), "")
}

// writeBlocks puts the write block on tables.
func writeBlocks(run *control.Run, tables []relation) []string {
	return always(writeBlockTrigger, tables, writeBlockName(run), " WHEN "+control.NotOurs(run))
}

// always makes a statement trigger that fires at any session_replication_role.
func always(trigger string, tables []relation, function pg.Name, when string) []string {
	var all []string
	for _, t := range tables {
		all = append(all,
			fmt.Sprintf("CREATE OR REPLACE TRIGGER %s BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT%s EXECUTE FUNCTION %s()",
				pg.Ident(trigger), t.name.Quoted(), when, function.Quoted()),
			fmt.Sprintf("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %s", t.name.Quoted(), pg.Ident(trigger)))
	}
	return all
}

// makeFunction makes a trigger function and takes from it what default
// privileges gave others.
func makeFunction(ctx context.Context, tx pgx.Tx, text string, name pg.Name) error {
	if _, err := tx.Exec(ctx, text); err != nil {
		return fmt.Errorf("make function %s: %w", name, err)
	}
	return strip(ctx, tx, "FUNCTION", name.Quoted()+"()", functionACL, name)
}

// without are those of some tables that lack an enabled trigger.
func without(ctx context.Context, db pg.Querier, trigger string, tables []relation) ([]relation, error) {
	rows, err := db.Query(ctx, `SELECT tgrelid FROM pg_catalog.pg_trigger WHERE tgname = $1 AND tgenabled = 'A'`, trigger)
	if err != nil {
		return nil, fmt.Errorf("look for triggers %s: %w", trigger, err)
	}
	oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return nil, fmt.Errorf("look for triggers %s: %w", trigger, err)
	}
	has := map[uint32]bool{}
	for _, oid := range oids {
		has[oid] = true
	}
	var left []relation
	for _, t := range tables {
		if !has[t.oid] {
			left = append(left, t)
		}
	}
	return left, nil
}
