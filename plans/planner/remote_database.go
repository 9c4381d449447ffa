package planner

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// What is there in the shadow's database beforehand is the database itself and
// some schemas: public, and those that hold extensions already. It becomes like
// production's in the swap, statement by statement, so that what we may not do
// there leaves the rest undisturbed. pg_dump leaves the database to pg_dumpall.

//go:embed remote_objects.sql
var objectsSQL string

// object is a database, by an empty name, or a schema.
type object struct {
	Name    string
	Owner   string
	Initial bool // the owner is the one that the server gave it
	Comment string
	Grants  []grant
}

// state is what a database has that is none of its objects.
type state struct {
	objects  []object
	settings []ownSetting
}

// ownSetting was made by ALTER DATABASE … SET or ALTER ROLE … IN DATABASE … SET.
type ownSetting struct{ Role, Name, Value string }

// correction is a statement that brings the shadow's database nearer to
// production's. Its tag is that of the entry that it becomes.
type correction struct {
	tag  string
	name string // what it is about, for people
	sql  string
}

func (c correction) entry() plans.Entry {
	return plans.Entry{Tag: c.tag, Name: pg.Name{Name: c.name}, SQL: c.sql}
}

func readState(ctx context.Context, db pg.Querier, schemas []string) (s state, err error) {
	rows, err := db.Query(ctx, objectsSQL, schemas)
	if err != nil {
		return s, err
	}
	if s.objects, err = pgx.CollectRows(rows, pgx.RowToStructByPos[object]); err != nil {
		return s, err
	}
	rows, err = db.Query(ctx, `SELECT coalesce(r.rolname::text, ''), split_part(c.item, '=', 1), substr(c.item, strpos(c.item, '=') + 1)
		FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY AS c (item, n)
		LEFT JOIN pg_roles r ON r.oid = s.setrole
		WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) AND (s.setrole = 0 OR r.rolname IS NOT NULL)
		ORDER BY 1, c.n`)
	if err != nil {
		return s, err
	}
	s.settings, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ownSetting])
	return s, err
}

// readWanted reads production's. Its schemas are read in scratch, where they are as
// the migrations leave them.
func (m *trial) readWanted(ctx context.Context) error {
	var err error
	if m.side.wanted, err = readState(ctx, m.db, nil); err != nil {
		return fmt.Errorf("read what production's database has of its own: %w", err)
	}
	after, err := readState(ctx, m.scratch.db, m.schemasThere())
	if err != nil {
		return fmt.Errorf("read the schemas after the migrations: %w", err)
	}
	for _, o := range after.objects {
		if o.Name != "" {
			m.side.wanted.objects = append(m.side.wanted.objects, o)
		}
	}
	return nil
}

// schemasThere are those that objects are moved into, public, and those of
// extensions.
func (m *survey) schemasThere() []string {
	all := []string{"public"}
	for _, s := range m.plan.Schemas {
		if s.Swap == plans.Move {
			all = append(all, s.Production)
		}
	}
	for _, e := range m.after.Extensions {
		all = append(all, e.Schema)
	}
	all = slices.DeleteFunc(all, func(s string) bool {
		renamed := slices.ContainsFunc(m.plan.Schemas, func(p plans.Schema) bool { return p.Production == s && p.Swap != plans.Move })
		_, ordinary := m.after.Schema(s) // pg_catalog is none
		return renamed || !ordinary
	})
	slices.Sort(all)
	return slices.Compact(all)
}

// corrections compares the shadow's database, as a session sees it, with
// production's. None are left where they were carried out.
func (m *site) corrections(ctx context.Context, there pg.Querier) ([]correction, error) {
	have, err := readState(ctx, there, m.schemasThere())
	if err != nil {
		return nil, fmt.Errorf("read what the shadow's database has of its own: %w", err)
	}
	var all []correction
	for _, w := range m.side.wanted.objects {
		i := slices.IndexFunc(have.objects, func(h object) bool { return h.Name == w.Name })
		if i >= 0 {
			all = append(all, m.likeProduction(w, have.objects[i])...)
		}
	}
	for _, w := range m.side.wanted.settings {
		if !slices.ContainsFunc(have.settings, w.equals) {
			all = append(all, correction{tag: plans.TagDatabase, name: strings.TrimSpace(w.Role + " " + w.Name), sql: w.alter(m.side.database)})
		}
	}
	return all, nil
}

// likeProduction are the statements that make an object of the shadow's database
// what production's is.
func (m *site) likeProduction(want, have object) []correction {
	tag, on, name := plans.TagSchema, "SCHEMA "+pg.Ident(want.Name), "schema "+want.Name
	if want.Name == "" {
		tag, on, name = plans.TagDatabase, "DATABASE "+pg.Ident(m.side.database), m.side.database
	}
	var all []correction
	add := func(what string, statements ...string) {
		for _, sql := range statements {
			all = append(all, correction{tag: tag, name: what + " of " + name, sql: sql})
		}
	}
	if m.ownerIsProductions(want) && want.Owner != have.Owner {
		add("owner", "ALTER "+on+" OWNER TO "+pg.Ident(want.Owner)+";")
		have = have.handedTo(want.Owner)
	}
	switch {
	case want.Comment == have.Comment:
	case want.Comment != "":
		add("comment", "COMMENT ON "+on+" IS "+pg.Literal(want.Comment)+";")
	case m.moving(want.Name):
		add("comment", "COMMENT ON "+on+" IS NULL;")
	}
	add("privileges", m.access(on, want, have)...)
	return all
}

// ownerIsProductions: whom a database belongs to is for its DBA to choose, and a
// schema that nothing moves into may keep the owner of its own server where
// production's has that of production's server: of public it changed in 15.
func (m *task) ownerIsProductions(want object) bool {
	return want.Name != "" && (m.moving(want.Name) || !want.Initial)
}

// handedTo is the object after ALTER … OWNER TO, which rewrites what its owner
// is granted.
func (o object) handedTo(owner string) object {
	o.Grants = slices.Clone(o.Grants)
	for i := range o.Grants {
		if o.Grants[i].Role == o.Owner {
			o.Grants[i].Role = owner
		}
	}
	o.Owner = owner
	return o
}

func (s ownSetting) equals(o ownSetting) bool {
	return s.Role == o.Role && s.Name == o.Name && setText(s.Name, s.Value) == setText(o.Name, o.Value)
}

func (s ownSetting) alter(database string) string {
	begin := "ALTER DATABASE " + pg.Ident(database)
	if s.Role != "" {
		begin = "ALTER ROLE " + pg.Ident(s.Role) + " IN DATABASE " + pg.Ident(database)
	}
	return begin + " " + setText(s.Name, s.Value) + ";"
}

// Settings that hold lists whose elements are quoted each by itself, as
// PostgreSQL's GUC_LIST_QUOTE marks them: of names, which lose their capitals
// where they are not quoted, and of files, which do not.
var (
	nameLists = []string{"search_path", "temp_tablespaces"}
	fileLists = []string{"local_preload_libraries", "session_preload_libraries", "shared_preload_libraries", "unix_socket_directories"}
)

// setText sets a setting to a value that the catalogs hold. As one constant a
// list would be one odd name.
func setText(name, value string) string {
	parts := strings.Split(name, ".") // of an extension or the user's own
	for i := range parts {
		parts[i] = pg.Ident(parts[i])
	}
	return "SET " + strings.Join(parts, ".") + " TO " + settingLiteral(name, value)
}

func settingLiteral(name, value string) string {
	list, names := slices.Contains(fileLists, name), slices.Contains(nameLists, name)
	if !list && !names {
		return pg.Literal(value)
	}
	elements := pg.Elements(value)
	for i, e := range elements {
		if names && !strings.HasPrefix(e, `"`) {
			e = strings.ToLower(e)
		}
		elements[i] = pg.Literal(pg.Unquoted(e))
	}
	if len(elements) == 0 {
		return "''"
	}
	return strings.Join(elements, ", ")
}

// rolesNamed are the roles that production's database grants something, or has
// settings for. Superusers need no grant.
func (s state) rolesNamed() []string {
	var all []string
	for _, o := range s.objects {
		for _, g := range o.Grants {
			if !g.Super {
				all = append(all, g.Role)
			}
		}
	}
	for _, setting := range s.settings {
		all = append(all, setting.Role)
	}
	return all
}
