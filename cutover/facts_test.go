package cutover

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// TestFenceLocksWhatTheSwapsForeignKeysReferTo: a table of another schema is locked at the
// fence, in its order, and not in the middle of the swap; nor in its trial. One that we may
// refer to, but not lock, is left to the foreign key.
func TestFenceLocksWhatTheSwapsForeignKeysReferTo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f := shop(t, plans.Rename, `CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.country (code text PRIMARY KEY);
		CREATE TABLE elsewhere.closed (code text PRIMARY KEY); REVOKE ALL ON elsewhere.closed FROM CURRENT_USER;`)
	plan := f.Upgrade.Plan
	for _, to := range []string{"elsewhere.country", "elsewhere.closed", f.schema.Shadow + ".account"} {
		plan.Entries = append(plan.Entries, plans.Entry{Tag: "FK CONSTRAINT", Stage: plans.StageSwap,
			SQL: "ALTER TABLE ONLY " + f.schema.Shadow + ".entry\n    ADD CONSTRAINT k FOREIGN KEY (note) REFERENCES " + to + "(code) NOT VALID;\n"})
	}
	conn, err := pgx.Connect(ctx, f.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	role := pg.Ident("refers_" + conn.Config().Database)
	run(t, conn, "CREATE ROLE "+role+"; GRANT USAGE ON SCHEMA elsewhere TO "+role+"; GRANT ALL ON elsewhere.country TO "+role+
		"; GRANT REFERENCES, SELECT, INSERT ON elsewhere.closed TO "+role+"; SET ROLE "+role)
	production, shadow := plan.SchemaNames()
	outside, err := referenced(ctx, conn, plan, production, shadow)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(outside, []pg.Name{{Schema: "elsewhere", Name: "country"}}) {
		t.Errorf("locked: %v", outside)
	}
	run(t, conn, "RESET ROLE; DROP OWNED BY "+role+"; DROP ROLE "+role)
	f.Parts = toldParts{entries: plan.Entries}
	if tried := f.trialEntries(); len(tried) != 1 || tried[0].SQL != plan.Entries[2].SQL {
		t.Errorf("tried: %+v", tried)
	}
}
