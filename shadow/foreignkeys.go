package shadow

import (
	"context"
	"fmt"
	"slices"
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

// Touched is what was touched of a table since its foreign keys were checked, as package
// replay tells it. Rows stands after FROM, with the table's rows as s; Keys is a relation,
// in which Columns names the table's columns. Both empty: it is not known what was.
type Touched struct {
	Changes    int64
	Rows, Keys string
	Columns    map[string]string
}

// CheckNewForeignKeys looks for rows that violate foreign keys which production
// does not already guarantee: those that touched says, rows of that table or ones that
// refer to it; nil: all, by reading both tables whole, as where it is not known what was
// touched. The indexes of the referenced columns must stand.
func CheckNewForeignKeys(ctx context.Context, db pg.Querier, run *control.Run, touched map[pg.Name]Touched) ([]Violation, error) {
	var found []Violation
	for _, k := range run.Plan.NewFKs {
		for _, which := range concerned(k, touched) {
			v, err := check(ctx, db, k, which)
			if err != nil {
				return nil, fmt.Errorf("check foreign key %s of %s: %w", k.Name, k.Table, err)
			}
			if v.Rows > 0 {
				found = append(found, v)
				break
			}
		}
	}
	return found, nil
}

// concerned are the rows that what was touched puts a foreign key in doubt of: all, none,
// or those that were touched themselves and those that refer to one that was.
func concerned(k plans.ForeignKey, touched map[pg.Name]Touched) (all []referring) {
	from, to := touched[k.Table], touched[k.References]
	byKey := !slices.ContainsFunc(k.RefColumns, func(c string) bool { return to.Columns[c] == "" })
	if touched == nil || from.Changes > 0 && from.Rows == "" || to.Changes > 0 && !byKey {
		return []referring{{}}
	}
	if from.Changes > 0 {
		all = append(all, referring{rows: from.Rows})
	}
	if to.Changes > 0 {
		all = append(all, referring{to: &to})
	}
	return all
}

// referring are the rows of a foreign key's own table that are looked at: by a text of
// theirs that stands after FROM, or by what they refer to; by neither, all.
type referring struct {
	rows string
	to   *Touched
}

func check(ctx context.Context, db pg.Querier, k plans.ForeignKey, which referring) (Violation, error) {
	v := Violation{Key: k}
	comparisons, err := comparisonsOf(ctx, db, k)
	if err != nil {
		return v, err
	}
	only, err := onlyOf(ctx, db, k)
	if err != nil {
		return v, err
	}
	rows, err := db.Query(ctx, orphansSQL(k, comparisons, only, which))
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
func orphansSQL(k plans.ForeignKey, comparisons map[string]comparison, only map[pg.Name]string, which referring) string {
	var values, present, equal, touched []string
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
		if which.to != nil {
			touched = append(touched, "g."+which.to.Columns[k.RefColumns[i]]+" "+how.operator+" "+right)
		}
	}
	from := only[k.Table] + k.Table.Quoted() + " AS c"
	switch {
	case which.rows != "":
		from = "(SELECT s.* FROM " + which.rows + ") AS c"
	case which.to != nil:
		from += " JOIN (SELECT DISTINCT * FROM " + which.to.Keys + " AS k) AS g ON " + strings.Join(touched, " AND ")
	}
	return "SELECT pg_catalog.count(*) OVER (), " + strings.Join(values, ", ") +
		"\nFROM " + from +
		"\nWHERE " + strings.Join(present, " AND ") +
		"\n  AND NOT EXISTS (SELECT FROM " + only[k.References] + k.References.Quoted() + " AS p WHERE " + strings.Join(equal, " AND ") + ")" +
		"\nLIMIT 1"
}
