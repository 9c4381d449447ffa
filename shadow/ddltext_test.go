package shadow

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
)

// What a comment or a default holds looks like the statement that the swap
// completes later, and like a partitioned table.
func TestTextInLiteralsIsNotTakenForStructure(t *testing.T) {
	t.Parallel()
	w := swapWorld(t)
	role := "forged_" + strings.ReplaceAll(w.pool.Config().ConnConfig.Database, "-", "_")
	forged := "COMMENT ON TABLE @.e IS 'COMMENT ON CONSTRAINT e_boss ON @.e IS NULL; CREATE ROLE " + role + "; --';"
	w.plan.Entries = append([]plans.Entry{{TOC: 900, Tag: "COMMENT", Name: in("e"), Stage: plans.StageBuild, SQL: strings.ReplaceAll(forged, "@", shopShadow)}}, w.plan.Entries...)
	w.build("TABLE", "bad", "CREATE TABLE @.bad (\n    id bigint,\n    v text DEFAULT 'x)\nPARTITION BY LIST (v)'::text\n);")
	w.exec("CREATE SCHEMA " + shopShadow + "; " + strings.ReplaceAll(parents, "@", shopShadow))
	defer w.exec("DROP ROLE IF EXISTS " + role)
	if partitions(w.plan).partitioned[in("bad")] {
		t.Error("a table whose default speaks of partitions is taken for partitioned")
	}
	w.swap()
	must(t, PostSwap(w.t.Context(), w.sides, w.run))
	w.wants("0", "SELECT count(*) FROM pg_roles WHERE rolname = '"+role+"'")
}
