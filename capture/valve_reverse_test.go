package capture

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

func TestReverseJournalGuardsTheSizeOfAll(t *testing.T) {
	t.Parallel()
	reverse := &target{Journal: Journal{Run: 1, Direction: ToOld, Record: plans.RecordRow, Keys: []string{"id"}}, share: 1000}
	body := reverse.body(fnDelete, pg.Name{Schema: "pgumbra", Name: "reverse_1_0_a"})
	const size = `pg_catalog.pg_relation_size('"pgumbra"."reverse_1_0_a"'::pg_catalog.regclass)`
	if !strings.HasPrefix(body, declarations+`BEGIN IF pg_catalog.pg_sequence_last_value('"pgumbra"."full_1"'::pg_catalog.regclass) = 9223372036854775807 OR `+size+` >= 1000 AND "pgumbra"."full_1"(`+size+`) THEN RETURN NULL; END IF; INSERT`) {
		t.Errorf("body of a reverse trigger: %s", body)
	}
	forward := &target{Journal: Journal{Run: 1, Direction: ToShadow, Record: plans.RecordRow, Keys: []string{"id"}}}
	if body := forward.body(fnDelete, pg.Name{Schema: "pgumbra", Name: "journal_1_0_a"}); strings.Contains(body, "pg_relation_size") {
		t.Errorf("a forward journal is looked after by the leader, its trigger must not be: %s", body)
	}
}

// However the changes are spread over the tables, their journals end together
// at the limit, by statements of clients that know nothing of it.
func TestReverseJournalsEndTogetherAtTheirLimit(t *testing.T) {
	t.Parallel()
	const limit, tables = 6 << 20, 3
	for name, c := range map[string]struct {
		rows [tables]int // written to each table in turn, until nothing is recorded
		as   string
	}{
		"one hot table":             {[...]int{1, 0, 0}, "client"},
		"evenly":                    {[...]int{1, 1, 1}, "client"},
		"two of three":              {[...]int{3, 0, 1}, "client"},
		"bulk statements":           {[...]int{300, 700, 500}, "client"},
		"a role without any rights": {[...]int{1, 1, 0}, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, `CREATE SCHEMA pgumbra_shop_v2_shop; GRANT USAGE ON SCHEMA pgumbra_shop_v2_shop TO pg_monitor`)
			for i := range tables {
				f.exec(fmt.Sprintf("CREATE TABLE pgumbra_shop_v2_shop.t%d (id bigserial PRIMARY KEY, v text); GRANT ALL ON ALL TABLES IN SCHEMA pgumbra_shop_v2_shop TO pg_monitor; GRANT ALL ON ALL SEQUENCES IN SCHEMA pgumbra_shop_v2_shop TO pg_monitor", i))
				f.run.Plan.Tables = append(f.run.Plan.Tables, plans.Table{N: i, Shadow: pg.Name{Schema: "pgumbra_shop_v2_shop", Name: fmt.Sprintf("t%d", i)},
					Final: pg.Name{Schema: "shop", Name: fmt.Sprintf("t%d", i)}, Feed: plans.Copied,
					Key:     []plans.Pair{{Production: "id", Shadow: "id", Type: "bigint"}},
					Columns: []plans.Column{{Shadow: "id", Type: "bigint"}, {Shadow: "v", Type: "text"}}})
			}
			f.run.Plan.Settings.Capture.MaxJournal = limit
			f.must(PrepareReverse(f.ctx, f.pool, f.run))
			var writes strings.Builder
			for i, n := range c.rows {
				if n > 0 {
					fmt.Fprintf(&writes, "INSERT INTO pgumbra_shop_v2_shop.t%d (v) SELECT repeat('x', 500) FROM generate_series(1, %d);", i, n)
				}
			}
			if c.as == "nobody" {
				f.exec(fmt.Sprintf("DO $$ BEGIN SET LOCAL ROLE pg_monitor; FOR i IN 1..10 LOOP %s END LOOP; END $$", &writes))
			}
			rounds := 8000 / max(c.rows[0], 1) * 2
			f.exec(fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP %s END LOOP; END $$", rounds, &writes))
			written, err := strconv.Atoi(f.one("SELECT (SELECT count(*) FROM pgumbra_shop_v2_shop.t0) + (SELECT count(*) FROM pgumbra_shop_v2_shop.t1) + (SELECT count(*) FROM pgumbra_shop_v2_shop.t2)"))
			f.must(err)
			sum, err := strconv.Atoi(f.one("SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'pgumbra'::regnamespace AND relname ~ '^reverse_[0-9]+_[0-9]+_[ab]$'"))
			f.must(err)
			if written*500 < limit*5/4 || sum < limit || sum > limit*9/8 {
				t.Errorf("%d rows written, %d bytes journalled, the limit is %d", written, sum, limit)
			}
			f.must(Remove(f.ctx, f.pool, f.run))
			if left := f.one("SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace"); left != "0" {
				t.Errorf("%s functions are left", left)
			}
		})
	}
}
