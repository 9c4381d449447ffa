package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// readStructure dumps scratch under the shadow's names and sorts the entries
// into stages.
func (m *draft) readStructure(ctx context.Context) error {
	args := m.quoting()
	for _, s := range m.plan.Schemas {
		args = append(args, "--schema="+dumpPattern(s.Shadow))
	}
	dump, err := m.pgDump.Dump(ctx, m.scratch.dsn, m.scratch.name, args...)
	if err != nil {
		return err
	}
	dump, given := orderColumns(dump, m.after)
	m.otherOrder(given)
	m.classifyExtensions()
	if m.plan.Entries, err = m.extensions(ctx); err != nil {
		return err
	}
	parts, err := readParts(ctx, m.scratch.db)
	if err != nil {
		return err
	}
	stager := newStager(m.final, parts)
	for _, e := range dump {
		if m.leftOut(e) {
			continue
		}
		m.plan.Entries = append(m.plan.Entries, stager.entry(e))
		if e.Tablespace != "" {
			m.stored[e.TOC] = e
		}
	}
	if err := m.publicEntries(ctx); err != nil {
		return err
	}
	return m.remoteEntries(ctx)
}

// quoting: a newer server has words that an older one takes for names
// (system_user since 16), so there every name is written in quotes.
func (m *site) quoting() []string {
	if m.plan.Remote && m.side.server/10000 > m.session.Server/10000 {
		return []string{"--quote-all-identifiers"}
	}
	return []string{}
}

// dumpPattern quotes a name for pg_dump's --schema: patterns know wildcards and
// fold case outside double quotes.
func dumpPattern(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// classifyExtensions says what the migrations do with extensions.
func (m *draft) classifyExtensions() {
	for _, e := range m.after.Extensions {
		if !installed(m.production, e.Name) {
			m.warning("extension-new", e.Name, "the migrations install this extension; it is installed in production when the shadow is built",
				"see that the role may: it needs CREATE on the database, or a superuser for extensions that are not trusted")
		}
	}
	for _, e := range m.production.Extensions {
		at := slices.IndexFunc(m.after.Extensions, func(a catalog.Extension) bool { return a.Name == e.Name })
		switch {
		case at >= 0 && m.after.Extensions[at].Schema != e.Schema:
			m.blocker("extension-moved", e.Name, "the migrations move this extension to another schema", "move it in production beforehand")
		case at < 0 && !m.plan.Remote:
			m.warning("extension-dropped", e.Name, "the migrations drop this extension; the upgrade leaves it installed", "after finish: DROP EXTENSION "+pg.Ident(e.Name)+";")
		}
	}
}

func installed(c *catalog.Catalog, extension string) bool {
	return slices.ContainsFunc(c.Extensions, func(e catalog.Extension) bool { return e.Name == extension })
}

// extensions are made before everything else, in the place where they would be:
// those that the migrations install, and in another database all of them. A run
// that is given up drops them again.
func (m *trial) extensions(ctx context.Context) ([]plans.Entry, error) {
	if m.plan.Remote {
		return m.allExtensions(ctx)
	}
	entries := []plans.Entry{}
	for i, e := range m.after.Extensions {
		if !installed(m.production, e.Name) {
			entries = append(entries, plans.Entry{TOC: -1 - i, Tag: "EXTENSION", Name: pg.Name{Schema: e.Schema, Name: e.Name}, Stage: plans.StageBuild,
				SQL: fmt.Sprintf("CREATE EXTENSION IF NOT EXISTS %s WITH SCHEMA %s VERSION %s CASCADE;", pg.Ident(e.Name), pg.Ident(e.Schema), pg.Literal(e.Version))})
		}
	}
	return entries, nil
}

// leftOut: entries that are made otherwise. The schema of a public that is
// moved or copied is written by hand.
func (m *task) leftOut(e pgdump.Entry) bool {
	return e.Tag != "EXTENSION" && m.handMade(schemaOf(e))
}

func (m *task) handMade(schema string) bool {
	return slices.ContainsFunc(m.plan.Schemas, func(s plans.Schema) bool {
		return s.Shadow == schema && (s.Swap == plans.Move || s.Production == "public")
	})
}

// publicEntries writes the schemas that pg_dump does not, with owner, privileges
// and comment of the true one: public, and those out of which objects are moved.
// The owner matters from the start: only who may create in a schema can be made
// the owner of a table there.
func (m *trial) publicEntries(ctx context.Context) error {
	var made []plans.Entry
	for i, s := range m.plan.Schemas {
		if !m.handMade(s.Shadow) {
			continue
		}
		attributes, privileges, err := m.likeSchema(ctx, m.schemaNamed(s.Production), s.Shadow)
		if err != nil {
			return err
		}
		made = append(made, plans.Entry{TOC: -1000 - 2*i, Class: pgNamespace, Tag: "SCHEMA", Name: pg.Name{Name: s.Shadow},
			SQL: "CREATE SCHEMA " + pg.Ident(s.Shadow) + ";" + attributes, Stage: plans.StageBuild})
		if privileges != "" {
			made = append(made, plans.Entry{TOC: -1001 - 2*i, Class: pgNamespace, Tag: "ACL", Name: pg.Name{Name: s.Shadow},
				SQL: privileges, Stage: plans.StageBuild})
		}
	}
	m.plan.Entries = append(made, m.plan.Entries...)
	return nil
}

// likeSchema gives a schema owner, privileges and comment of another one, as the
// migrations left it.
func (m *trial) likeSchema(ctx context.Context, like catalog.Namespace, schema string) (attributes, privileges string, err error) {
	name := pg.Ident(schema)
	attributes = "\nALTER SCHEMA " + name + " OWNER TO " + pg.Ident(like.Owner) + ";"
	if like.Comment != "" {
		attributes += "\nCOMMENT ON SCHEMA " + name + " IS " + pg.Literal(like.Comment) + ";"
	}
	if like.ACL == "" {
		return attributes, "", nil
	}
	grants, err := explode(ctx, m.scratch.db, like.ACL)
	if err != nil {
		return "", "", fmt.Errorf("read privileges of schema %s: %w", like.Name, err)
	}
	privileges = "REVOKE ALL ON SCHEMA " + name + " FROM " + pg.Ident(like.Owner) + ";"
	for _, g := range grants {
		privileges += "\n" + g.give("SCHEMA "+name)
	}
	return attributes, privileges, nil
}
