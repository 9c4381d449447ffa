package planner

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/findings"
)

// exampleShop is the database that the register's examples are written for.
const exampleShop = `CREATE TABLE currency (code text PRIMARY KEY);
	CREATE TYPE price AS (amount numeric);
	CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint, total numeric, at timestamptz DEFAULT now(), note text, paid price);
	CREATE TABLE log (at date) PARTITION BY RANGE (at);
	CREATE TABLE log_2020 PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
	INSERT INTO currency VALUES ('EUR'); INSERT INTO log VALUES ('2020-02-02');
	INSERT INTO orders SELECT g, nullif(g % 5, 0), g, now() FROM generate_series(1, 20) g`

// TestExamplesOfFindings: what the documentation shows as found is found, and what
// it shows instead is not. Those that a migration alone does not show are left out.
func TestExamplesOfFindings(t *testing.T) {
	t.Parallel()
	if os.Getenv("PGUMBRA_TEST_LONG") == "" {
		t.Skip("make test-long tries each example")
	}
	for _, section := range findings.Sections() {
		for _, c := range section.Checks {
			if c.Bad == "" || strings.HasPrefix(c.Code, "pgbouncer-") || strings.Contains(c.Bad, "# in the plan file") || strings.Contains(c.Bad, "-- db/") {
				continue
			}
			t.Run(c.Code, func(t *testing.T) {
				t.Parallel()
				if p := newShop(t, exampleShop, c.Bad).plan(t); !hasCode(p, c.Code) {
					t.Errorf("the bad example of %s has only %+v", c.Code, p.Findings)
				}
				if strings.Contains(c.Good, "# in the plan file") || strings.Contains(c.Good, "-- by hand") {
					return
				}
				if p := newShop(t, exampleShop, c.Good).plan(t); hasCode(p, c.Code) || slices.ContainsFunc(p.Findings, func(f plans.Finding) bool { return f.Level == plans.Blocker }) {
					t.Errorf("the good example of %s has %+v", c.Code, p.Findings)
				}
			})
		}
	}
}

func hasCode(p *plans.Plan, code string) bool {
	return slices.ContainsFunc(p.Findings, func(f plans.Finding) bool { return f.Code == code })
}
