package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// remoteEntries writes what a dump of the shadow's schemas does not hold and
// another database lacks: it is run in the swap, so that a run that is given up
// leaves the database as it was.
func (m *trial) remoteEntries(ctx context.Context) error {
	if !m.plan.Remote {
		return nil
	}
	// What is made comes behind privileges on its schema, which its owner may need.
	for _, write := range []func(context.Context) error{m.standingEntries, m.versionEntry, m.defaultPrivileges} {
		if err := write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// atSwap adds an entry of the swap. Numbers of its own keep it apart from
// pg_dump's.
func (m *task) atSwap(e plans.Entry) {
	e.TOC, e.Stage = -2000-len(m.plan.Entries), plans.StageSwap
	m.plan.Entries = append(m.plan.Entries, e)
}

// standingEntries correct what is there beforehand.
func (m *trial) standingEntries(ctx context.Context) error {
	if err := m.readWanted(ctx); err != nil {
		return err
	}
	all, err := m.corrections(ctx, m.side.db)
	for _, c := range all {
		m.atSwap(c.entry())
	}
	return err
}

// newSchema makes a schema of production's that the shadow's database lacks.
func (m *trial) newSchema(ctx context.Context, schema string) (string, error) {
	attributes, privileges, err := m.likeSchema(ctx, m.schemaNamed(schema), schema)
	return strings.TrimSpace("CREATE SCHEMA IF NOT EXISTS " + pg.Ident(schema) + ";" + attributes + "\n" + privileges), err
}

// defaultPrivileges carries ALTER DEFAULT PRIVILEGES: those of the whole
// database, and those of schemas that objects are moved into. The others are in
// the dump.
func (m *trial) defaultPrivileges(ctx context.Context) error {
	var moved []string
	for _, s := range m.plan.Schemas {
		if s.Swap == plans.Move {
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
		m.atSwap(plans.Entry{Tag: plans.TagDefaults, Name: pg.Name{Schema: d.Schema, Name: "DEFAULT PRIVILEGES FOR " + d.Kind}, SQL: d.sql(grants)})
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
		all = append(all, begin+" "+g.give(d.Kind))
	}
	return strings.Join(all, "\n")
}

// versionEntry makes golang-migrate's table as production has it where its
// schema stays behind.
func (m *trial) versionEntry(ctx context.Context) error {
	v := m.plan.VersionTable
	if v == nil || v.Moves || !v.Exists {
		return nil
	}
	dump, err := m.pgDump.Dump(ctx, m.scratch.dsn, m.scratch.name,
		append(m.quoting(), "--table="+dumpPattern(v.Name.Schema)+"."+dumpPattern(v.Name.Name))...)
	if err != nil {
		return err
	}
	if !m.side.has(v.Name.Schema) && !made(v.Name.Schema, m.plan.Entries) {
		schema, err := m.newSchema(ctx, v.Name.Schema)
		if err != nil {
			return err
		}
		m.atSwap(plans.Entry{Tag: plans.TagVersion, Name: pg.Name{Name: v.Name.Schema}, SQL: schema})
	}
	sql := ""
	for _, e := range dump {
		sql += e.SQL + "\n"
	}
	m.atSwap(plans.Entry{Tag: plans.TagVersion, Name: v.Name, SQL: strings.TrimSpace(sql)})
	return nil
}

// withoutTablespaces leaves the choice of a tablespace that the shadow's server
// lacks to its default.
func (m *draft) withoutTablespaces(ctx context.Context) error {
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
		dumped, ok := m.stored[e.TOC]
		if !ok || slices.Contains(there, dumped.Tablespace) {
			continue
		}
		e.SQL = dumped.InDefaultTablespace
		m.warning("tablespace-absent", dumped.Tablespace, "the shadow's server has no tablespace of this name: what is in it goes to the default tablespace there",
			"make it there before the run: CREATE TABLESPACE "+pg.Ident(dumped.Tablespace)+" LOCATION '…';")
	}
	return nil
}

// schemaNamed is a schema of production after the migrations.
func (m *trial) schemaNamed(name string) catalog.Namespace {
	n, _ := m.after.Schema(name)
	return n
}
