package capture

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

func TestReverseJournalGuardsItsOwnSize(t *testing.T) {
	t.Parallel()
	reverse := &target{Journal: Journal{Run: 1, Direction: ToOld, Record: plans.RecordRow, Keys: []string{"id"}}, limit: 1000}
	body := reverse.body(fnDelete, pg.Name{Schema: "pgumbra", Name: "reverse_1_0_a"})
	if !strings.HasPrefix(body, declarations+`BEGIN IF pg_catalog.pg_relation_size('"pgumbra"."reverse_1_0_a"'::pg_catalog.regclass) >= 1000 THEN RETURN NULL; END IF; INSERT`) {
		t.Errorf("body of a reverse trigger: %s", body)
	}
	forward := &target{Journal: Journal{Run: 1, Direction: ToShadow, Record: plans.RecordRow, Keys: []string{"id"}}}
	if body := forward.body(fnDelete, pg.Name{Schema: "pgumbra", Name: "journal_1_0_a"}); strings.Contains(body, "pg_relation_size") {
		t.Errorf("a forward journal is looked after by the leader, its trigger must not be: %s", body)
	}
}
