package capture

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// However the changes are spread over the tables, their journals end together
// at the limit, by statements of clients that know nothing of it.
func TestReverseJournalsEndTogetherAtTheirLimit(t *testing.T) {
	testcontainers.InTurn(t, 5)
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
			sum, err := strconv.Atoi(f.one("SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'pgumbra'::regnamespace AND relname ~ '^reverse_[0-9]+_[0-9]+_[ab]$'"))
			f.must(err)
			if written*500 < limit*5/4 || sum < limit*9/10 || sum > limit*9/8 {
				t.Errorf("%d rows written, %d bytes journalled, the limit is %d", written, sum, limit)
			}
			f.must(Remove(f.ctx, f.pool, f.run))
			if left := f.one("SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgumbra'::regnamespace AND proname !~ '^ours_'"); left != "0" {
				t.Errorf("%s functions are left", left)
			}
		})
	}
}

// Whatever fills them, forward journals end at their limit without any process
// that looks after them, no client's statement fails, and the gap is known for
// ever: also where the transaction that met the limit was rolled back.
func TestForwardJournalsEndAtTheirLimit(t *testing.T) {
	testcontainers.InTurn(t, 5)
	t.Parallel()
	const limit = 4 << 20
	const noise = "CREATE FUNCTION noise(n int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(md5(random()::text), '') FROM generate_series(1, n / 32) $$; CREATE SCHEMA s;"
	for name, c := range map[string]struct {
		script  string
		source  plans.Source
		write   string // again and again
		rounds  int
		atLeast int // of the limit, in percent
	}{
		"single rows": {"CREATE TABLE s.t (id bigserial PRIMARY KEY, v text)", plans.Source{},
			"DO $$ BEGIN FOR i IN 1..4000 LOOP INSERT INTO s.t (v) VALUES (repeat('x', 300)); END LOOP; END $$", 8, 90},
		"bulk": {"CREATE TABLE s.t (id bigserial PRIMARY KEY, v text)", plans.Source{},
			"INSERT INTO s.t (v) SELECT i::text FROM generate_series(1, 120000) i", 3, 0},
		"bulk delete": {"CREATE TABLE s.t (id bigserial PRIMARY KEY, v text); INSERT INTO s.t (v) SELECT i::text FROM generate_series(1, 120000) i", plans.Source{},
			"DELETE FROM s.t", 1, 0},
		"out of line": {"CREATE TABLE s.t (id bigserial PRIMARY KEY, v text)", plans.Source{},
			"INSERT INTO s.t (v) SELECT noise(3500) FROM generate_series(1, 20)", 250, 90},
		"without a key": {"CREATE TABLE s.t (id bigserial, v text)", plans.Source{},
			"INSERT INTO s.t (v) SELECT noise(12000) FROM generate_series(1, 10)", 120, 90},
		"without a key, in bulk": {"CREATE TABLE s.t (id bigserial, v text); INSERT INTO s.t (v) SELECT repeat('x', 200) FROM generate_series(1, 30000)", plans.Source{},
			"UPDATE s.t SET id = -id", 1, 0},
		"partitions without a key": {"CREATE TABLE s.t (id bigserial, v text) PARTITION BY HASH (id); CREATE TABLE s.t0 PARTITION OF s.t FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
			plans.Source{Kind: plans.Partitioned}, "INSERT INTO s.t (v) SELECT repeat('x', 200) FROM generate_series(1, 30000)", 1, 90},
		"keys": {"CREATE TABLE s.t (id bigserial PRIMARY KEY, v text); INSERT INTO s.t (v) SELECT i::text FROM generate_series(1, 5000) i", plans.Source{Record: plans.RecordKey},
			"UPDATE s.t SET id = -id", 20, 90},
		"rolled back": {"CREATE TABLE s.t (id bigserial PRIMARY KEY, v text)", plans.Source{},
			"BEGIN; DO $$ BEGIN FOR i IN 1..40 LOOP INSERT INTO s.t (v) SELECT repeat('x', 300) FROM generate_series(1, 500); END LOOP; END $$; ROLLBACK", 1, 90},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.source.Name = named("s", "t")
			f := newFixture(t, noise+c.script, c.source)
			f.run.Plan.Settings.Capture.MaxJournal = limit
			f.install()
			f.must(f.checkSigned(false))
			for range c.rounds {
				f.exec(c.write)
			}
			size, err := Size(f.ctx, f.pool, f.run)
			f.must(err)
			if size > limit*9/8 || size < limit*int64(c.atLeast)/100 {
				t.Errorf("%d bytes journalled, the limit is %d", size, limit)
			}
			f.must(f.checkSigned(true))
		})
	}
}

// checkSigned holds what is said of the capture against whether it was ended.
func (f *fixture) checkSigned(closed bool) error {
	since, err := Closed(f.ctx, f.pool, f.run, ToShadow)
	if err != nil {
		return err
	}
	if (since != nil) != closed {
		return fmt.Errorf("closed since %v, want %t", since, closed)
	}
	signature, err := Signature(f.ctx, f.pool, f.run)
	if err != nil {
		return err
	}
	if changed := f.signed != "" && f.signed != signature; changed != closed {
		return fmt.Errorf("signature changed: %t, want %t", changed, closed)
	}
	f.signed = signature
	if got := f.changes(0); (got[Triggers] != "") != closed {
		return fmt.Errorf("changes %v, closed %t", got, closed)
	}
	return nil
}

// A look that finds room postpones the next one by no more WAL than room is
// left, and another limit in the plan file counts from the next look on.
func TestJournalLimitMayBeChanged(t *testing.T) {
	t.Parallel()
	f := ordersFixture(t)
	f.run.Plan.Settings.Capture.MaxJournal = 1 << 40
	f.install()
	f.must(f.checkSigned(false))
	f.exec(`UPDATE shop.orders SET total = 1`)
	f.run.Plan.Settings.Capture.MaxJournal = 1 << 13
	f.must(Guard(f.ctx, f.pool, f.run, ToShadow))
	f.exec(`UPDATE shop.orders SET total = 1`)
	f.must(f.checkSigned(true))
}
