package shadow

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Violation of a foreign key that the migrations bring: rows of the shadow that
// refer to nothing. While the tables stand at different positions a row may
// refer to one that is still to be replayed: the caller compares when all stand
// at one, or looks again.
type Violation struct {
	Key     plans.ForeignKey
	Rows    int64
	Example string // column = value of one such row
}

func (v Violation) String() string {
	return fmt.Sprintf("%d rows of %s refer to nothing in %s by foreign key %s, one with %s",
		v.Rows, v.Key.Table, v.Key.References, v.Key.Name, v.Example)
}

// CheckNewForeignKeys looks for rows that violate foreign keys which production
// does not already guarantee, by reading both tables whole. The indexes of the
// referenced columns must stand.
func CheckNewForeignKeys(ctx context.Context, db pg.Querier, run *control.Run) ([]Violation, error) {
	var found []Violation
	for _, k := range run.Plan.NewFKs {
		v, err := check(ctx, db, k)
		if err != nil {
			return nil, fmt.Errorf("check foreign key %s of %s: %w", k.Name, k.Table, err)
		}
		if v.Rows > 0 {
			found = append(found, v)
		}
	}
	return found, nil
}

func check(ctx context.Context, db pg.Querier, k plans.ForeignKey) (Violation, error) {
	v := Violation{Key: k}
	comparisons, err := comparisonsOf(ctx, db, k)
	if err != nil {
		return v, err
	}
	only, err := onlyOf(ctx, db, k)
	if err != nil {
		return v, err
	}
	rows, err := db.Query(ctx, orphansSQL(k, comparisons, only))
	if err != nil {
		return v, err
	}
	values := make([]string, len(k.Columns))
	targets := []any{&v.Rows}
	for i := range values {
		targets = append(targets, &values[i])
	}
	_, err = pgx.ForEachRow(rows, targets, func() error { return nil })
	for i, c := range k.Columns {
		values[i] = c + " = " + values[i]
	}
	v.Example = strings.Join(values, ", ")
	return v, err
}

// comparison is how the referenced column compares with a value: by the equality
// of its unique index, as the foreign key itself does.
type comparison struct{ operator, collation string }

func comparisonsOf(ctx context.Context, db pg.Querier, k plans.ForeignKey) (map[string]comparison, error) {
	rows, err := db.Query(ctx, `
		SELECT a.attname, pg_catalog.format('OPERATOR(%I.%s)', opn.nspname, op.oprname),
		       coalesce(pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(col.collname), '')
		FROM pg_catalog.pg_index i
		CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(i.indkey::int2[]), pg_catalog.unnest(i.indclass::oid[])) WITH ORDINALITY AS x (attnum, opclass, place)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.attnum
		JOIN pg_catalog.pg_opclass oc ON oc.oid = x.opclass
		JOIN pg_catalog.pg_amop am ON am.amopfamily = oc.opcfamily AND am.amopstrategy = 3
		     AND am.amoplefttype = oc.opcintype AND am.amoprighttype = oc.opcintype
		JOIN pg_catalog.pg_operator op ON op.oid = am.amopopr
		JOIN pg_catalog.pg_namespace opn ON opn.oid = op.oprnamespace
		LEFT JOIN pg_catalog.pg_collation col ON col.oid = a.attcollation AND col.collname <> 'default'
		LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = col.collnamespace
		WHERE i.indexrelid = (
			SELECT u.indexrelid FROM pg_catalog.pg_index u
			WHERE u.indrelid = $1::regclass AND u.indisunique AND u.indpred IS NULL AND u.indexprs IS NULL AND u.indnkeyatts = $3
			  AND NOT EXISTS (SELECT FROM pg_catalog.unnest(u.indkey::int2[]) WITH ORDINALITY AS key (attnum, place)
			                  JOIN pg_catalog.pg_attribute ka ON ka.attrelid = u.indrelid AND ka.attnum = key.attnum
			                  WHERE key.place <= u.indnkeyatts AND ka.attname <> ALL ($2))
			ORDER BY u.indisprimary DESC, u.indexrelid LIMIT 1)
		  AND x.place <= i.indnkeyatts`, k.References.Quoted(), k.RefColumns, len(k.RefColumns))
	if err != nil {
		return nil, err
	}
	found := map[string]comparison{}
	var column string
	var c comparison
	_, err = pgx.ForEachRow(rows, []any{&column, &c.operator, &c.collation}, func() error {
		found[column] = c
		return nil
	})
	if err == nil && len(found) != len(k.RefColumns) {
		err = fmt.Errorf("%s has no unique index on %s", k.References, strings.Join(k.RefColumns, ", "))
	}
	return found, err
}

// onlyOf tells where ONLY belongs: a foreign key counts the rows of a partition
// tree, but not those of inheritance children.
func onlyOf(ctx context.Context, db pg.Querier, k plans.ForeignKey) (map[pg.Name]string, error) {
	only := map[pg.Name]string{}
	for _, n := range []pg.Name{k.Table, k.References} {
		var kind string
		if err := db.QueryRow(ctx, `SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = $1::regclass`, n.Quoted()).Scan(&kind); err != nil {
			return nil, err
		}
		if kind != "p" {
			only[n] = "ONLY "
		}
	}
	return only, nil
}

// orphansSQL counts rows without a counterpart and shows one of them. MATCH
// SIMPLE, PostgreSQL's default: a row with a NULL refers to nothing rightly.
func orphansSQL(k plans.ForeignKey, comparisons map[string]comparison, only map[pg.Name]string) string {
	var values, present, equal []string
	for i, c := range k.Columns {
		column := "c." + pg.Ident(c)
		how := comparisons[k.RefColumns[i]]
		right := column
		if how.collation != "" {
			right = "(" + column + " COLLATE " + how.collation + ")"
		}
		values = append(values, column+"::text")
		present = append(present, column+" IS NOT NULL")
		equal = append(equal, "p."+pg.Ident(k.RefColumns[i])+" "+how.operator+" "+right)
	}
	return "SELECT pg_catalog.count(*) OVER (), " + strings.Join(values, ", ") +
		"\nFROM " + only[k.Table] + k.Table.Quoted() + " AS c" +
		"\nWHERE " + strings.Join(present, " AND ") +
		"\n  AND NOT EXISTS (SELECT FROM " + only[k.References] + k.References.Quoted() + " AS p WHERE " + strings.Join(equal, " AND ") + ")" +
		"\nLIMIT 1"
}
