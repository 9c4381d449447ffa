package conditions

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed sql/belongings.sql
var belongingsText string

// rememberText reads them; comparedText names what is other than remembered, what
// became of it, and what to do. How much a difference counts is the first letter of
// what is remembered, if it is none of a number.
const (
	rememberText = `WITH {{scope}}, ` + belongings + ` SELECT label, counts || hash FROM here`
	comparedText = `WITH {{scope}}, ` + belongings + `,
known AS (SELECT k.label, pg_catalog.translate(k.says, '+=', '') AS hash, pg_catalog.substr(k.says, 1, 1) AS counts
    FROM asked, unnest(asked.labels, asked.hashes) AS k (label, says))
SELECT label, CASE WHEN k.hash IS NULL THEN 'is new' WHEN h.hash IS NULL THEN 'is gone' ELSE 'was changed' END,
    CASE WHEN k.hash IS NULL AND h.undo <> '' THEN 'take it back until the {{swap}}, and make it on the {{other}} server after it: ' || h.undo ELSE 'put it back as it was until the {{swap}}' END
FROM here h FULL JOIN known k USING (label), asked
WHERE asked.labels IS NOT NULL AND h.hash IS DISTINCT FROM k.hash
  AND (h.hash IS NOT NULL OR k.counts NOT IN ('+', '=')) AND (k.hash IS NOT NULL OR h.counts <> '=' AND NOT h.told)
ORDER BY label LIMIT 50`
	belongings = "{{belongings}}"
)

var (
	rememberSQL = scoped(withBelongings(rememberText))
	comparedSQL = compared("cutover", "new")
	// comparedBackSQL asks the new server while it goes back to the old one.
	comparedBackSQL = compared("rollback", "old")
)

// Belongings reads what a database has of its own besides the schemas that move,
// settings, privileges, publications and the like, with a hash of each, by what people
// call it. It is what [Scope.Belongings] is later: a swap to another database brings what
// the plan knew, and no more. Takes no lock but those of the catalogs.
func Belongings(ctx context.Context, db pg.Querier, schemas []string) (map[string]string, error) {
	rows, err := db.Query(ctx, rememberSQL, Scope{Schemas: schemas}.args()...)
	if err != nil {
		return nil, fmt.Errorf("read what the database has of its own: %w", err)
	}
	all := map[string]string{}
	var label, hash string
	_, err = pgx.ForEachRow(rows, []any{&label, &hash}, func() error {
		all[label] = hash
		return nil
	})
	return all, err
}

func compared(swap, other string) string {
	return strings.NewReplacer("{{swap}}", swap, "{{other}}", other).Replace(scoped(withBelongings(comparedText)))
}

// grantedOn begins the label of privileges, as belongings.sql makes it.
const grantedOn = "privileges on "

// GrantedOn is the object of a label of [Belongings] that is about privileges on what
// PostgreSQL or an extension brought.
func GrantedOn(label string) (object string, is bool) { return strings.CutPrefix(label, grantedOn) }

func withBelongings(query string) string {
	return strings.ReplaceAll(query, belongings, strings.ReplaceAll(belongingsText, "{{granted on}}", grantedOn))
}

// remembered are the two columns that the query compares with; NULL where no plan has any.
func (s Scope) remembered() (labels, hashes []string) {
	for _, label := range slices.Sorted(maps.Keys(s.Belongings)) {
		labels, hashes = append(labels, label), append(hashes, s.Belongings[label])
	}
	return labels, hashes
}
