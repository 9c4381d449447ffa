package planfile

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/migrations"
)

// InitOptions say where to look for what a plan file needs.
type InitOptions struct {
	Production string   // DSN; a password in it is used, never written
	Schemas    []string // that move together; at least one
	Migrations string   // golang-migrate's folder; empty: none
	Shadow     string   // DSN; empty: the same database
	Output     string   // where the file will be: relative paths start there. "" or "-": the working directory
}

// RefusedError is what a look into a database showed: it cannot be worked with
// until the findings are dealt with. The caller shows them and exits 3.
type RefusedError struct{ Findings []plans.Finding }

// Error lists the findings, each with what to do about it.
func (r *RefusedError) Error() string {
	lines := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		lines[i] = fmt.Sprintf("%s (%s): %s; %s", f.Code, f.Object, f.Message, f.Fix)
	}
	return strings.Join(lines, "\n")
}

// Init looks at production and at the migrations and returns the text of a
// plan file: what could be inferred, and what a human must decide marked
// DECIDE. It writes nothing anywhere. Errors: [*plans.FileError] for what is wrong
// without a server, [*RefusedError] for absent schemas, else the connection's.
func Init(ctx context.Context, o InitOptions) ([]byte, error) {
	d := &initData{now: time.Now()}
	if err := d.fromOptions(o); err != nil {
		return nil, err
	}
	if err := d.fromProduction(ctx, o); err != nil {
		return nil, err
	}
	d.Name = d.name()
	var b bytes.Buffer
	if err := initTemplate.Execute(&b, d); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

//go:embed init.yaml.tmpl
var initText string

var initTemplate = template.Must(template.New("init.yaml").Funcs(template.FuncMap{
	"yaml": yamlText, "list": yamlList, "plain": human.OneLine, "count": human.Count, "bytes": human.Bytes,
}).Parse(initText))

// initData is what the template shows.
type initData struct {
	Name, Production, Shadow, Path string
	ProductionSecret, ShadowSecret bool // a password was left out
	Schemas                        []string
	Newest                         *int64
	MigrationWarnings              []plans.Finding

	Database, User string
	Tables         []initTable
	Version        initVersion
	now            time.Time
}

// initTable is a table of production's: of a partition tree the root.
type initTable struct {
	Schema, Table string
	Rows          int64
	Bytes         int64
	Toast         int64
	Keyed         bool
}

// initVersion is where golang-migrate's table is and what it says.
type initVersion struct {
	Table   string // as to write in migrations.table; empty: the default serves
	Found   string // the table's name; empty: none
	Others  []string
	Number  *int64
	Dirty   bool
	Problem string // why it could not be read
}

func (d *initData) fromOptions(o InitOptions) error {
	if len(o.Schemas) == 0 {
		return &plans.FileError{Message: "no schema is named", Fix: "name each schema that moves by --schema"}
	}
	d.Schemas = slices.Compact(slices.Clone(o.Schemas))
	for flag, dsn := range map[string]string{"--production": o.Production, "--shadow": o.Shadow} {
		var bad *valueError
		if errors.As(validDSN(dsn), &bad) {
			return &plans.FileError{Message: flag + " " + bad.message, Fix: bad.fix}
		}
	}
	d.Production, d.ProductionSecret = pg.WithoutPassword(o.Production)
	d.Shadow, d.ShadowSecret = pg.WithoutPassword(o.Shadow)
	if o.Migrations == "" {
		return nil
	}
	m, err := migrations.Read(o.Migrations)
	if err != nil {
		return err
	}
	newest := m.Newest()
	d.Newest, d.MigrationWarnings = &newest, m.Warnings
	d.Path, err = pathFrom(o.Output, o.Migrations)
	return err
}

// pathFrom is a folder as the plan file names it: relative to the file where
// it can be.
func pathFrom(output, folder string) (string, error) {
	if filepath.IsAbs(folder) {
		return folder, nil
	}
	base := "."
	if output != "" && output != "-" {
		base = filepath.Dir(output)
	}
	from, err := filepath.Abs(base)
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	path, err := filepath.Rel(from, to)
	if err == nil && !strings.HasPrefix(path, ".") {
		path = "./" + path
	}
	return filepath.ToSlash(path), err
}

func (d *initData) fromProduction(ctx context.Context, o InitOptions) error {
	s, err := catalog.ReadSession(ctx, o.Production, nil)
	if err != nil {
		return err
	}
	d.Database, d.User = s.Database, s.User
	conn, err := pg.Connect(ctx, o.Production, pg.Options{Component: "init"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := checkSchemas(ctx, conn, d.Schemas, s.Database); err != nil {
		return err
	}
	if d.Tables, err = readInitTables(ctx, conn, d.Schemas); err != nil {
		return fmt.Errorf("read production's tables: %w", err)
	}
	d.Version, err = findInitVersion(ctx, conn, s.Schemas)
	return err
}

func checkSchemas(ctx context.Context, db pg.Querier, wanted []string, database string) error {
	rows, err := db.Query(ctx, `SELECT nspname::text FROM pg_catalog.pg_namespace
		WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1`)
	if err != nil {
		return fmt.Errorf("read the schemas: %w", err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the schemas: %w", err)
	}
	var absent []plans.Finding
	for _, s := range wanted {
		if !slices.Contains(there, s) {
			absent = append(absent, plans.Finding{Level: plans.Blocker, Code: "schema-absent", Object: s,
				Message: fmt.Sprintf("database %s has no schema %s", database, s), Fix: "there are: " + strings.Join(there, ", ")})
		}
	}
	if len(absent) > 0 {
		return &RefusedError{Findings: absent}
	}
	return nil
}

//go:embed init_tables.sql
var initTablesSQL string

func readInitTables(ctx context.Context, db pg.Querier, schemas []string) ([]initTable, error) {
	rows, err := db.Query(ctx, initTablesSQL, schemas)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[initTable])
}

// findInitVersion looks for golang-migrate's table: under its default name
// where a session of production looks, else by its two columns.
func findInitVersion(ctx context.Context, db pg.Querier, path []string) (initVersion, error) {
	rows, err := db.Query(ctx, `SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname <> 'pgumbra' AND 2 = (SELECT count(*) FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			  AND (a.attname, a.atttypid) IN (('version', 'int8'::regtype), ('dirty', 'bool'::regtype)))
		ORDER BY c.relname <> 'schema_migrations', array_position($1::text[], n.nspname::text), 1, 2`, path)
	if err != nil {
		return initVersion{}, fmt.Errorf("look for the version table: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pg.Name])
	if err != nil || len(found) == 0 {
		return initVersion{}, err
	}
	v := initVersion{Found: found[0].String()}
	if found[0].Name != "schema_migrations" || !slices.Contains(path, found[0].Schema) {
		v.Table = v.Found
	}
	for _, n := range found[1:] {
		v.Others = append(v.Others, n.String())
	}
	var number int64
	err = db.QueryRow(ctx, "SELECT version, dirty FROM "+found[0].Quoted()+" LIMIT 1").Scan(&number, &v.Dirty)
	switch {
	case err == nil:
		v.Number = &number
	case !errors.Is(err, pgx.ErrNoRows):
		v.Problem = err.Error()
	}
	return v, nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// name is the database's with the version to come: unique where it must be, in
// production's own records.
func (d *initData) name() string {
	base := strings.Trim(notInName.ReplaceAllString(d.Database, "-"), "-_")
	if base == "" {
		base = "upgrade"
	}
	base = base[:min(len(base), 40)]
	switch {
	case d.Newest == nil:
		return base + "-" + d.now.Format("20060102")
	case *d.Newest < 1_000_000:
		return fmt.Sprintf("%s-v%d", base, *d.Newest)
	}
	return fmt.Sprintf("%s-%d", base, *d.Newest)
}

// Rows and Bytes of all tables.
func (d *initData) Rows() (n int64) {
	for _, t := range d.Tables {
		n += max(t.Rows, 0)
	}
	return n
}

// Bytes of all tables.
func (d *initData) Bytes() (n int64) {
	for _, t := range d.Tables {
		n += t.Bytes
	}
	return n
}

// Largest are the five largest tables.
func (d *initData) Largest() []initTable {
	sorted := slices.Clone(d.Tables)
	slices.SortStableFunc(sorted, func(a, b initTable) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return sorted[:min(len(sorted), 5)]
}

// Keyless are the tables without a usable key.
func (d *initData) Keyless() (keyless []initTable) {
	for _, t := range d.Tables {
		if !t.Keyed {
			keyless = append(keyless, t)
		}
	}
	return keyless
}

// wideToast is from where on values stored outside the rows matter.
const wideToast = 1 << 20

// Wide are keyed tables that are mostly TOAST: a row image in the journal would
// write every such value again at each update.
func (d *initData) Wide() (wide []initTable) {
	for _, t := range d.Tables {
		if t.Keyed && t.Toast >= wideToast && t.Toast*2 >= t.Bytes {
			wide = append(wide, t)
		}
	}
	return wide
}

// UpToDate: there is nothing newer than production.
func (d *initData) UpToDate() bool {
	return d.Newest != nil && d.Version.Number != nil && *d.Version.Number >= *d.Newest
}

// Size is rows and bytes for people.
func (t initTable) Size() string {
	if t.Rows < 0 {
		return "rows not counted (never analyzed), " + human.Bytes(t.Bytes)
	}
	return fmt.Sprintf("%s rows, %s", human.Count(t.Rows), human.Bytes(t.Bytes))
}

// Name is the table's as the plan file's keys are written.
func (t initTable) Name() string { return pg.Name{Schema: t.Schema, Name: t.Table}.String() }

var plainScalar = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_.-]*|\.{1,2}/[A-Za-z0-9_./-]*|/[A-Za-z0-9_./-]*)$`)

// yamlText writes one value, quoted where YAML could read it otherwise, with
// ${ kept from being a variable.
func yamlText(s string) string {
	s = strings.ReplaceAll(s, "${", "$${")
	if plainScalar.MatchString(s) && !slices.Contains([]string{"null", "Null", "NULL"}, s) {
		return s
	}
	return strconv.Quote(s)
}

func yamlList(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = yamlText(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
