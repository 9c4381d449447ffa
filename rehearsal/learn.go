package rehearsal

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
)

// keyColumns is what a server's error tells of a row's key.
var keyColumns = regexp.MustCompile(`Key \((.*?)\)=\(`)

// columns are those that the server's error names.
func (e *failedMigration) columns() []string {
	if e.server.ColumnName != "" {
		return []string{e.server.ColumnName}
	}
	m := keyColumns.FindStringSubmatch(e.server.Detail)
	if m == nil {
		return nil
	}
	names := strings.Split(m[1], ", ")
	for i := range names {
		names[i] = strings.ReplaceAll(strings.Trim(names[i], `"`), `""`, `"`)
	}
	return names
}

// learner reads from a failure what the migration asks. The three databases come from
// one template, so a table has one oid and a column one number in all of them,
// whatever they are called there.
type learner struct {
	failed *failedMigration
	before *catalog.Catalog // production's structure
	then   *catalog.Catalog // when the migration failed
	after  *catalog.Catalog // after all migrations; nil: they fail without rows too
	db     pg.Querier       // where the types of after are; else of then
}

func (r *rehearsal) learn(ctx context.Context, failed *failedMigration) (asks []generate.Ask, err error) {
	l := &learner{failed: failed}
	if l.before, err = catalogOf(ctx, r.file.Production.DSN); err != nil {
		return nil, err
	}
	where := r.servers.production.DSN(tried)
	if l.then, err = catalogOf(ctx, where); err != nil {
		return nil, err
	}
	migrated, err := r.migratedWithoutRows(ctx)
	if err != nil {
		return nil, err
	}
	if migrated {
		where = r.servers.production.DSN(without)
		if l.after, err = catalogOf(ctx, where); err != nil {
			return nil, err
		}
	}
	err = Oracle{}.reading(ctx, where, func(conn *pgx.Conn) (err error) {
		l.db = conn
		asks, err = l.asks(ctx)
		return err
	})
	return asks, err
}

func catalogOf(ctx context.Context, dsn string) (c *catalog.Catalog, err error) {
	err = Oracle{}.reading(ctx, dsn, func(conn *pgx.Conn) (err error) {
		c, err = catalog.Read(ctx, conn)
		return err
	})
	return c, err
}

func (l *learner) asks(ctx context.Context) ([]generate.Ask, error) {
	e := l.failed.server
	switch {
	case e.Code == pgerrcode.NotNullViolation:
		return l.notNull(), nil
	case e.Code == pgerrcode.UniqueViolation:
		return l.distinct(), nil
	case e.Code == pgerrcode.ForeignKeyViolation, e.Code == pgerrcode.CheckViolation:
		return l.constraint(), nil
	case strings.HasPrefix(e.Code, "22"):
		return l.casts(ctx)
	}
	return nil, nil
}

// table is the one that the server names, as it was when the migration failed.
func (l *learner) table() *catalog.Table {
	e := l.failed.server
	t := l.then.ByName(pg.Name{Schema: e.SchemaName, Name: e.TableName})
	if t == nil {
		return nil
	}
	return l.then.Root(t)
}

// columnsBefore are the names that columns had before the migrations; false: some are
// new since.
func (l *learner) columnsBefore(table uint32, numbers []int16) (t *catalog.Table, names []string, ok bool) {
	if t = l.before.ByOID(table); t == nil {
		return nil, nil, false
	}
	for _, n := range numbers {
		c, there := t.Column(n)
		if !there {
			return t, nil, false
		}
		names = append(names, c.Name)
	}
	return t, names, len(names) > 0
}

// numbers are those of columns by the names that the server's error has.
func (l *learner) numbers(t *catalog.Table) (numbers []int16) {
	for _, name := range l.failed.columns() {
		c, ok := t.ColumnNamed(name)
		if !ok {
			return nil
		}
		numbers = append(numbers, c.Num)
	}
	return numbers
}

// named are the numbers of the columns that the key in the server's error speaks of.
func (l *learner) named(t *catalog.Table) (numbers []int16) {
	key := strings.Join(l.failed.columns(), ", ")
	for _, c := range t.Columns {
		if names(key, c.Name) {
			numbers = append(numbers, c.Num)
		}
	}
	return numbers
}

func (l *learner) notNull() []generate.Ask {
	t := l.table()
	if t == nil {
		return nil
	}
	before, names, ok := l.columnsBefore(t.OID, l.numbers(t))
	if !ok {
		l.failed.anyRow = before != nil // the column is new
		return nil
	}
	return []generate.Ask{{Table: before.Name, Columns: names, NotNull: true}}
}

func (l *learner) distinct() []generate.Ask {
	t := l.table()
	if t == nil {
		return nil
	}
	numbers := l.numbers(t)
	if numbers == nil { // expressions, as lower(mail): of distinct values most are distinct
		numbers = l.named(t)
	}
	if before, names, ok := l.columnsBefore(t.OID, numbers); ok {
		return []generate.Ask{{Table: before.Name, Columns: names, Distinct: true}}
	}
	return nil
}

// constraint finds a foreign key or a CHECK where the migrations made it on no rows.
func (l *learner) constraint() []generate.Ask {
	t := l.table()
	if t == nil || l.after == nil {
		return nil
	}
	for _, k := range l.after.Constraints {
		if k.Table != t.OID || k.Name != l.failed.server.ConstraintName {
			continue
		}
		before, names, ok := l.columnsBefore(k.Table, k.Columns)
		if !ok {
			return nil
		}
		if k.Kind == "f" {
			to, references, ok := l.columnsBefore(k.References, k.RefColumns)
			if !ok {
				return nil
			}
			return []generate.Ask{{Table: before.Name, Columns: names, To: to.Name, RefColumns: references}}
		}
		after, same := l.after.ByOID(k.Table), true
		for i, n := range k.Columns { // the condition speaks of them by their names now
			c, there := after.Column(n)
			same = same && there && c.Name == names[i]
		}
		if same {
			return []generate.Ask{{Table: before.Name, Columns: names, Check: generate.Condition(k.Definition), Constraint: k.Name}}
		}
	}
	return nil
}

// Casts as they are written; what stands for the type may be followed by other words.
var castings = []*regexp.Regexp{
	regexp.MustCompile(`(?i)("[^"]+"|[a-z_][\w$]*)\s*\)*\s*::\s*([a-z_"][\w." ]*(?:\([\d, ]+\))?(?:\[\])?)`),
	regexp.MustCompile(`(?i)\bcast\s*\(\s*(?:[\w"]+\.)*("[^"]+"|[a-z_][\w$]*)\s+as\s+([a-z_"][\w." ]*(?:\([\d, ]+\))?(?:\[\])?)`),
	regexp.MustCompile(`(?i)\balter\s+(?:column\s+)?("[^"]+"|[a-z_][\w$]*)\s+(?:set\s+data\s+)?type\s+([a-z_"][\w." ]*(?:\([\d, ]+\))?(?:\[\])?)`),
}

// casts are those in the migration whose values are columns of tables that it names.
// One too many does no harm: its values are of the column's own type all the same.
func (l *learner) casts(ctx context.Context) (asks []generate.Ask, err error) {
	text := l.failed.sql
	for _, form := range castings {
		for _, m := range form.FindAllStringSubmatch(text, -1) {
			column := strings.Trim(m[1], `"`)
			if column == m[1] {
				column = strings.ToLower(column)
			}
			target, err := l.typeOf(ctx, m[2])
			if err != nil {
				return nil, err
			}
			if target == nil {
				continue
			}
			for _, t := range l.then.Tables {
				c, ok := t.ColumnNamed(column)
				if !ok || !t.HoldsRows() || t.IsPartition() || c.TypeOID == target.Type || !names(text, t.Name.Name) {
					continue
				}
				before, columns, ok := l.columnsBefore(t.OID, []int16{c.Num})
				if !ok || slices.ContainsFunc(asks, func(o generate.Ask) bool { return o.Table == before.Name && o.Columns[0] == columns[0] }) {
					continue
				}
				a := *target
				a.Table, a.Columns = before.Name, columns
				asks = append(asks, a)
			}
		}
	}
	return asks, nil
}

func names(sql, table string) bool {
	return regexp.MustCompile(`(?i)(^|[^\w])` + regexp.QuoteMeta(table) + `($|[^\w])`).MatchString(sql)
}

// typeOf is the type that a text begins with; nil: none that production has, but for
// a new enum's labels.
func (l *learner) typeOf(ctx context.Context, text string) (*generate.Ask, error) {
	open := strings.IndexAny(text, "([")
	rest := ""
	if open >= 0 {
		text, rest = text[:open], text[open:]
	}
	words := strings.Fields(text)
	for n := min(len(words), 4); n > 0; n-- {
		name := strings.Join(words[:n], " ")
		if n == len(words) {
			name += rest
		}
		var a generate.Ask
		err := l.db.QueryRow(ctx, `SELECT t.oid, coalesce((SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid), '{}')
			FROM pg_type t WHERE t.oid = to_regtype($1)`, name).Scan(&a.Type, &a.Labels)
		if err == nil {
			return castTo(a, name), nil
		}
		if pg.State(err) == "" && !errors.Is(err, pgx.ErrNoRows) {
			return nil, err
		}
	}
	return nil, nil
}

// firstOfUsers is the first oid of what users make: such a type may be another one in
// production's database.
const firstOfUsers = 16384

// castTo completes what is asked by the type's modifier.
func castTo(a generate.Ask, name string) *generate.Ask {
	a.Typmod = modifier(name)
	if len(a.Labels) > 0 {
		a.Type = 0
	} else if a.Type >= firstOfUsers {
		return nil
	}
	return &a
}

var modifiers = regexp.MustCompile(`\((\d+)(?:,\s*(\d+))?\)`)

// modifier is pg_attribute's atttypmod of a type as it is written; -1: none.
func modifier(name string) int32 {
	m := modifiers.FindStringSubmatch(name)
	if m == nil {
		return -1
	}
	first, _ := strconv.Atoi(m[1])
	second, _ := strconv.Atoi(m[2])
	switch lower := strings.ToLower(name); {
	case strings.HasPrefix(lower, "varchar"), strings.HasPrefix(lower, "char"):
		return int32(first) + 4
	case strings.HasPrefix(lower, "numeric"), strings.HasPrefix(lower, "decimal"):
		return int32(first<<16|second) + 4
	}
	return -1
}
