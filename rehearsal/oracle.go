package rehearsal

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Oracle makes and reads the database that was migrated in place.
type Oracle struct {
	Bin     func(name string) (string, error) // where pg_dump, pg_restore and psql are
	Schemas []string                          // those that moved
	Leave   []string                          // those that are not compared
}

// Copy restores structure and rows of one database into another, empty one,
// without anything of pgumbra's.
func (o Oracle) Copy(ctx context.Context, from, to string) error {
	dump, err := o.tool(ctx, "pg_dump", "-Fc", "--exclude-schema=pgumbra*", from)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pgumbra-oracle-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	archive, list := filepath.Join(dir, "archive"), filepath.Join(dir, "list")
	if err := os.WriteFile(archive, dump, 0o600); err != nil {
		return err
	}
	contents, err := o.tool(ctx, "pg_restore", "-l", archive)
	if err != nil {
		return err
	}
	// Triggers of pgumbra's are entries of their own; their functions are in
	// the schema that was left out.
	lines := slices.DeleteFunc(strings.SplitAfter(string(contents), "\n"), func(l string) bool { return strings.Contains(l, "pgumbra") })
	if err := os.WriteFile(list, []byte(strings.Join(lines, "")), 0o600); err != nil {
		return err
	}
	return restoreArchive(ctx, o.Bin, archive, to, "-L", list)
}

var dumpHeader = regexp.MustCompile(`(?m)^--\n-- Name: (.*); Type: (.*); Schema: (.*); Owner: ?(.*)\n--\n`)

// objects are the entries of a schema dump by kind and name: TABLE shop.orders.
func (o Oracle) objects(ctx context.Context, dsn string) (map[string]string, error) {
	args := []string{"--schema-only", "--exclude-schema=pgumbra*"}
	for _, s := range o.Leave {
		args = append(args, "--exclude-schema="+pg.Ident(s))
	}
	out, err := o.tool(ctx, "pg_dump", append(args, dsn)...)
	if err != nil && strings.Contains(err.Error(), "server version mismatch") {
		return o.objectsByCatalog(ctx, dsn)
	}
	if err != nil {
		return nil, err
	}
	objects := map[string]string{}
	headers := dumpHeader.FindAllSubmatchIndex(out, -1)
	for i, h := range headers {
		end := len(out)
		if i+1 < len(headers) {
			end = headers[i+1][0]
		}
		part := func(n int) string { return string(out[h[2*n]:h[2*n+1]]) }
		name := part(2) + " " + part(1)
		if part(3) != "-" {
			name = part(2) + " " + part(3) + "." + part(1)
		}
		for objects[name] != "" { // one for each of its columns' rights
			name += "'"
		}
		objects[name] = statementsOf(string(out[h[1]:end]))
	}
	return objects, nil
}

//go:embed structure.sql
var structureSQL string

// objectsByCatalog are the same of a server that is newer than any pg_dump at hand:
// both sides are of one version, and spelled alike.
func (o Oracle) objectsByCatalog(ctx context.Context, dsn string) (map[string]string, error) {
	objects := map[string]string{}
	err := o.reading(ctx, dsn, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, structureSQL, o.Leave)
		if err != nil {
			return err
		}
		var name, definition string
		_, err = pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
			objects[name] = definition
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the structure: %w", err)
	}
	return objects, nil
}

func statementsOf(entry string) string {
	lines := slices.DeleteFunc(strings.Split(entry, "\n"), func(l string) bool {
		return strings.HasPrefix(l, "--") || strings.HasPrefix(l, "SET default_table") || strings.HasPrefix(l, "SET default_tablespace") ||
			strings.HasPrefix(l, `\restrict`) || strings.HasPrefix(l, `\unrestrict`) || strings.TrimSpace(l) == ""
	})
	return elementwise(strings.Join(lines, "\n"))
}

var castArray = regexp.MustCompile(`\(ARRAY\[((?:'(?:[^']|'')*'::character varying(?:, )?)+)\]\)::text\[\]`)
var arrayElement = regexp.MustCompile(`'(?:[^']|'')*'::character varying`)

// elementwise spells a list of texts as PostgreSQL does once it was dumped and
// restored: x IN ('a', 'b') over varchar casts the array first, and each of its
// elements from then on. The two mean the same.
func elementwise(sql string) string {
	return castArray.ReplaceAllStringFunc(sql, func(list string) string {
		return "ARRAY[" + arrayElement.ReplaceAllString(castArray.FindStringSubmatch(list)[1], "($0)::text") + "]"
	})
}

func (o Oracle) tables(ctx context.Context, conn *pgx.Conn, leaveOut []string) (map[pg.Name][]string, error) {
	rows, err := conn.Query(ctx, `
		SELECT n.nspname, c.relname, a.attname FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		  AND NOT n.nspname || '.' || c.relname || '.' || a.attname = ANY (coalesce($2::text[], '{}'))
		WHERE n.nspname = ANY ($1) AND (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated)
		ORDER BY 1, 2, a.attname`, o.Schemas, leaveOut)
	if err != nil {
		return nil, err
	}
	tables := map[pg.Name][]string{}
	var name pg.Name
	var column *string // nil: a table without columns
	_, err = pgx.ForEachRow(rows, []any{&name.Schema, &name.Name, &column}, func() error {
		if column == nil {
			tables[name] = nil
			return nil
		}
		tables[name] = append(tables[name], *column)
		return nil
	})
	return tables, err
}

// Next is what a sequence gives next.
type Next struct {
	Value, Increment int64
	Failure          string // SQLSTATE, where it is exhausted
}

// NextValues draws a number of each sequence.
func (o Oracle) NextValues(ctx context.Context, dsn string) (map[string]Next, error) {
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "oracle"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT schemaname, sequencename, increment_by FROM pg_sequences WHERE schemaname = ANY ($1)`, o.Schemas)
	if err != nil {
		return nil, err
	}
	values := map[pg.Name]Next{}
	var name pg.Name
	var increment int64
	if _, err := pgx.ForEachRow(rows, []any{&name.Schema, &name.Name, &increment}, func() error {
		values[name] = Next{Increment: increment}
		return nil
	}); err != nil {
		return nil, err
	}
	drawn := map[string]Next{}
	for name, next := range values {
		err := conn.QueryRow(ctx, `SELECT nextval($1::text::regclass)`, name.Quoted()).Scan(&next.Value)
		if next.Failure = pg.State(err); err != nil && next.Failure == "" {
			return nil, err
		}
		drawn[name.String()] = next
	}
	return drawn, nil
}

func (o Oracle) tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := o.Bin(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C") // messages are read
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, stderr.String())
	}
	return out, nil
}
