package planner

import (
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// A query of reverse: that does not give what production holds is told before the
// cutover, by column and row: after it, verification would find that and refuse to go
// back.
func TestPlanTellsWhereAReverseQueryDiffers(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	const (
		structure = `CREATE TABLE people (id int PRIMARY KEY, mail text, street text NOT NULL); INSERT INTO people VALUES (1, 'a@x', 's1'), (2, NULL, 's2'), (3, 'c@x', '')`
		migration = `CREATE TABLE addresses (person int PRIMARY KEY, street text NOT NULL); INSERT INTO addresses SELECT id, street FROM people WHERE street <> ''; ALTER TABLE people DROP COLUMN street`
		from      = ` FROM shop.people p LEFT JOIN shop.addresses a ON a.person = p.id`
	)
	for query, want := range map[string]map[string]string{
		`SELECT p.id, p.mail, coalesce(a.street, '') AS street` + from:          {},
		`SELECT p.id, coalesce(p.mail, '?') AS mail, a.street` + from + ";":     {"shop.people.mail": "id = 2", "shop.people.street": "id = 3"},
		`SELECT p.id, p.mail, a.street` + strings.Replace(from, "LEFT ", "", 1): {"shop.people": "id = 3"},
		`SELECT p.id, p.mail || (1 / (p.id - 1)) AS mail, '' AS street` + from:  {"shop.people": "division by zero"},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			s := newFilledShop(t, structure, migration)
			people := pg.Name{Schema: "shop", Name: "people"}
			rules := planfile.TableRules{Name: people, ReverseFrom: planfile.Expression{SQL: query}}
			for source, column := range map[string]string{"people": "id", "addresses": "person"} {
				rules.ReverseKey = append(rules.ReverseKey, planfile.KeyRule{Source: pg.Name{Schema: "shop", Name: source}, Pairs: []plans.WatchPair{{Column: column, Shadow: "id"}}})
			}
			s.file.Tables = []planfile.TableRules{rules}
			told := map[string]string{}
			for _, f := range s.runnable(t).Findings {
				if f.Code == "reverse-lossy" {
					told[f.Object] = f.Message
				}
			}
			for object, says := range want {
				if !strings.Contains(told[object], says) {
					t.Errorf("of %s is said %q, not %q", object, told[object], says)
				}
			}
			if len(told) != len(want) {
				t.Errorf("told: %q", told)
			}
		})
	}
}
