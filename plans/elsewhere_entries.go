package plans

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Tags of entries that pg_dump has no part in. Those of the swap are run in the
// shadow's database alone, those of the build in the skeleton too.
const (
	tagSchemaOf = "EXTENSION SCHEMA" // where an extension lives
	tagSchema   = "TRUE SCHEMA"      // owner, privileges and comment of a schema that is there already
	tagDatabase = "DATABASE"         // what hangs on the database itself
	tagVersion  = "VERSION TABLE"    // golang-migrate's, where its schema does not move
)

// elsewhereEntries writes what a dump of the shadow's schemas does not hold and
// another database lacks: it is run in the swap, so that a run that is given up
// leaves the database as it was.
func (m *maker) elsewhereEntries(ctx context.Context) error {
	if !m.plan.Elsewhere {
		return nil
	}
	for _, write := range []func(context.Context) error{m.trueSchemas, m.defaultPrivileges, m.databaseEntries, m.versionEntry} {
		if err := write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// atSwap adds an entry of the swap. Numbers of its own keep it apart from
// pg_dump's.
func (m *maker) atSwap(tag string, name pg.Name, sql string) {
	m.plan.Entries = append(m.plan.Entries, Entry{TOC: -2000 - len(m.plan.Entries), Tag: tag, Name: name, SQL: sql, Stage: StageSwap})
}

// trueSchemas: where the true name is taken on the shadow (public, the schema of
// an extension), objects are moved into that schema, and it is made like
// production's.
func (m *maker) trueSchemas(ctx context.Context) error {
	for _, s := range m.plan.Schemas {
		if s.Swap == Move {
			if err := m.likeProduction(ctx, s.Production); err != nil {
				return err
			}
		}
	}
	for _, e := range m.plan.Entries {
		if e.Tag == tagSchemaOf && !m.moving(e.Name.Name) {
			if err := m.likeProduction(ctx, e.Name.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *maker) likeProduction(ctx context.Context, schema string) error {
	n, _ := m.after.Schema(schema)
	attributes, privileges, err := m.likeSchema(ctx, n, schema)
	if err != nil {
		return err
	}
	taken, err := m.revokeSchema(ctx, schema)
	if err != nil {
		return err
	}
	m.atSwap(tagSchema, pg.Name{Name: schema}, strings.TrimSpace(taken+attributes+"\n"+privileges))
	return nil
}

// revokeSchema takes away what the shadow's own schema of that name allows.
func (m *maker) revokeSchema(ctx context.Context, schema string) (string, error) {
	there, ok := m.side.catalog.Schema(schema)
	if !ok || there.ACL == "" {
		return "", nil
	}
	grants, err := explode(ctx, m.side.db, there.ACL)
	if err != nil {
		return "", fmt.Errorf("read privileges of schema %s: %w", schema, err)
	}
	return fmt.Sprintf("REVOKE ALL ON SCHEMA %s FROM %s;", pg.Ident(schema), strings.Join(grantees(grants), ", ")), nil
}

// grant is one item of an access control list.
type grant struct {
	Grantee   string // quoted, or PUBLIC
	Privilege string
	Grantable bool
}

// explode reads an aclitem[] given as text.
func explode(ctx context.Context, db pg.Querier, acl string) ([]grant, error) {
	rows, err := db.Query(ctx, `SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
		a.privilege_type, a.is_grantable FROM aclexplode($1::aclitem[]) a`, acl)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[grant])
}

func grantees(all []grant) []string {
	var names []string
	for _, g := range all {
		if !slices.Contains(names, g.Grantee) {
			names = append(names, g.Grantee)
		}
	}
	return names
}

func (g grant) option() string {
	if g.Grantable {
		return " WITH GRANT OPTION"
	}
	return ""
}

// defaultPrivileges carries ALTER DEFAULT PRIVILEGES: those of the whole
// database, and those of schemas that objects are moved into. The others are in
// the dump.
func (m *maker) defaultPrivileges(ctx context.Context) error {
	var moved []string
	for _, s := range m.plan.Schemas {
		if s.Swap == Move {
			moved = append(moved, s.Production)
		}
	}
	rows, err := m.scratch.db.Query(ctx, `SELECT quote_ident(pg_get_userbyid(d.defaclrole)), coalesce(n.nspname::text, ''), d.defaclacl::text,
		CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END
		FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
		WHERE d.defaclnamespace = 0 OR n.nspname = ANY ($1) ORDER BY 2, 1, 4`, moved)
	if err != nil {
		return fmt.Errorf("read default privileges: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[defaultACL])
	if err != nil {
		return fmt.Errorf("read default privileges: %w", err)
	}
	for _, d := range all {
		grants, err := explode(ctx, m.scratch.db, d.ACL)
		if err != nil {
			return fmt.Errorf("read default privileges of %s: %w", d.Role, err)
		}
		m.atSwap("DEFAULT ACL", pg.Name{Schema: d.Schema, Name: "DEFAULT PRIVILEGES FOR " + d.Kind}, d.sql(grants))
	}
	return nil
}

type defaultACL struct{ Role, Schema, ACL, Kind string }

// sql: a list for a schema adds to what everybody has, one for the whole
// database stands in its place.
func (d defaultACL) sql(grants []grant) string {
	begin := "ALTER DEFAULT PRIVILEGES FOR ROLE " + d.Role
	var all []string
	if d.Schema != "" {
		begin += " IN SCHEMA " + pg.Ident(d.Schema)
	} else {
		all = append(all, fmt.Sprintf("%s REVOKE ALL ON %s FROM PUBLIC, %s;", begin, d.Kind, d.Role))
	}
	for _, g := range grants {
		all = append(all, fmt.Sprintf("%s GRANT %s ON %s TO %s%s;", begin, g.Privilege, d.Kind, g.Grantee, g.option()))
	}
	return strings.Join(all, "\n")
}

// versionEntry makes golang-migrate's table as production has it where its
// schema stays behind.
func (m *maker) versionEntry(ctx context.Context) error {
	v := m.plan.VersionTable
	if v == nil || v.Moves || !v.Exists {
		return nil
	}
	text, err := runPgDump(ctx, m.pgDump, m.scratch.dsn, m.scratch.name,
		append(m.quoting(), "--table="+dumpPattern(v.Name.Schema)+"."+dumpPattern(v.Name.Name))...)
	if err != nil {
		return err
	}
	dump, err := parseDump(text)
	if err != nil {
		return err
	}
	if !m.side.has(v.Name.Schema) && !m.made(v.Name.Schema) {
		m.atSwap(tagVersion, pg.Name{Name: v.Name.Schema}, "CREATE SCHEMA "+pg.Ident(v.Name.Schema)+";")
		if err := m.likeProduction(ctx, v.Name.Schema); err != nil {
			return err
		}
	}
	sql := ""
	for _, e := range dump {
		sql += e.sql + "\n"
	}
	m.atSwap(tagVersion, v.Name, strings.TrimSpace(sql))
	return nil
}

// made reports whether a schema is one that an extension was given.
func (m *maker) made(schema string) bool {
	return slices.ContainsFunc(m.plan.Entries, func(e Entry) bool { return e.Tag == tagSchemaOf && e.Name.Name == schema })
}

// withoutTablespaces leaves the choice of a tablespace that the shadow's server
// lacks to its default.
func (m *maker) withoutTablespaces(ctx context.Context) error {
	rows, err := m.side.db.Query(ctx, `SELECT spcname::text FROM pg_tablespace`)
	if err != nil {
		return fmt.Errorf("read the shadow's tablespaces: %w", err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the shadow's tablespaces: %w", err)
	}
	for i := range m.plan.Entries {
		e := &m.plan.Entries[i]
		first, rest, _ := strings.Cut(e.SQL, "\n")
		name := setLine.FindStringSubmatch(first)
		if name == nil || name[1] != "tablespace" || slices.Contains(there, unquoted(name[2])) {
			continue
		}
		e.SQL = strings.TrimSuffix(rest, "\nSET default_tablespace = '';")
		m.warning("tablespace-absent", name[2], "the shadow's server has no tablespace of this name: what is in it goes to the default tablespace there",
			"make it there before the run: CREATE TABLESPACE "+name[2]+" LOCATION '…';")
	}
	return nil
}

func unquoted(name string) string {
	if strings.HasPrefix(name, `"`) {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return name
}

// schemaNamed is a schema of production after the migrations.
func (m *maker) schemaNamed(name string) catalog.Namespace {
	n, _ := m.after.Schema(name)
	return n
}
