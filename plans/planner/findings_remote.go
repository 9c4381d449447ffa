package planner

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans/conditions"
)

// classifyRemote finds what the shadow's database lacks of what the structure needs,
// and what does not come along. What outside the schemas points at objects that
// move stays with them on the old server, so nothing of it blocks.
func (m *draft) classifyRemote(ctx context.Context) error {
	if !m.plan.Remote {
		return nil
	}
	m.leftBehind()
	m.otherOIDs()
	if len(m.file.Traffic.PgBouncer) == 0 && len(m.file.Traffic.Command) == 0 {
		m.warning("no-traffic", m.file.Name, "nothing leads the clients over: at the cutover production refuses writes, and says where the data are",
			"set traffic.pgbouncer or traffic.command, or be ready to lead them by hand")
	}
	for _, check := range []func(context.Context) error{m.withoutTablespaces, m.checkExtensions, m.checkRoles, m.checkShadowOwners,
		m.checkCollations, m.checkLocaleKeys, m.needsOutside, m.notCarried, m.functionsThere, m.valuesOfOneServer} {
		if err := check(ctx); err != nil {
			return fmt.Errorf("look at what the shadow's database lacks: %w", err)
		}
	}
	return nil
}

//go:embed findings_needs.sql
var needsSQL string

// needsOutside finds what moving objects are made of and another database has
// not, by what the catalogs know. Extensions are made there.
func (m *trial) needsOutside(ctx context.Context) error {
	var names []string
	for _, s := range m.plan.Schemas {
		names = append(names, s.Shadow)
	}
	rows, err := m.scratch.db.Query(ctx, conditions.WithHome(needsSQL), names)
	if err != nil {
		return err
	}
	var dependent, on, schema string
	_, err = pgx.ForEachRow(rows, []any{&dependent, &on, &schema}, func() error {
		for _, s := range m.plan.Schemas {
			dependent = strings.ReplaceAll(dependent, s.Shadow+".", s.Production+".")
		}
		m.blocker("needs-outside", dependent, fmt.Sprintf("it needs %s, whose schema %s does not move: the shadow's database does not have it", on, schema),
			"add "+schema+" to production.schemas")
		return nil
	})
	return err
}

// leftBehind names schemas that stay on the old server with what is in them.
func (m *draft) leftBehind() {
	for _, s := range m.production.Schemas {
		n := m.inside(s.Name)
		if n == 0 || m.moving(s.Name) || strings.HasPrefix(s.Name, "pgumbra") {
			continue
		}
		m.warning("left-behind", s.Name, fmt.Sprintf("this schema is not in production.schemas: its %d tables, sequences, types and functions stay on the old server, and clients will not find them after the cutover", n),
			"add it to production.schemas, or carry over by hand what clients need")
	}
}

func (m *draft) inside(schema string) int {
	n := 0
	for _, t := range m.production.Tables {
		version := m.plan.VersionTable != nil && t.Name == m.plan.VersionTable.Name
		if t.Name.Schema == schema && !t.Extension && !version {
			n++
		}
	}
	for _, q := range m.production.Sequences {
		if q.Name.Schema == schema && !q.Extension && q.Table == 0 {
			n++
		}
	}
	for _, t := range m.production.Types {
		if t.Name.Schema == schema && !t.Extension {
			n++
		}
	}
	for _, f := range m.production.Functions {
		if f.Name.Schema == schema && !f.Extension {
			n++
		}
	}
	return n
}

// otherOIDs: drivers ask once for the oids of a user's types and keep them; a
// pool that leads their connection to another server tells them nothing.
func (m *draft) otherOIDs() {
	var names []string
	for _, t := range m.after.Types {
		if strings.Contains("cder", t.Kind) && (m.moving(t.Name.Schema) || t.Extension) {
			names = append(names, t.Name.String())
		}
	}
	if len(names) > 0 {
		m.info("type-oids", strings.Join(names[:min(len(names), 5)], ", "), fmt.Sprintf("%s of your own: oids on the shadow are other ones. A driver that keeps oids for the life of a connection, behind a pool that goes on with it, may not know them after the cutover", human.Plural(len(names), "type")),
			"if clients use such a driver (binary formats of enums and composite types), have them reconnect after the cutover")
	}
}

//go:embed findings_carried.sql
var carriedSQL string

// notCarried names what belongs to the database, not to a schema, and is left to
// a human.
func (m *survey) notCarried(ctx context.Context) error {
	rows, err := m.db.Query(ctx, carriedSQL)
	if err != nil {
		return err
	}
	var kind, name string
	_, err = pgx.ForEachRow(rows, []any{&kind, &name}, func() error {
		m.warning("not-carried", name, "this "+kind+" belongs to production's database and is not carried over", "make it on the shadow by hand, if it is still wanted; pg_dump writes its statement")
		return nil
	})
	m.grantsNotCarried()
	return err
}

// grantsNotCarried names what PostgreSQL and extensions came with and somebody has
// granted or revoked something of. What initdb grants on information_schema is none of it.
func (m *task) grantsNotCarried() {
	var on []string
	for _, label := range slices.Sorted(maps.Keys(m.plan.Belongings)) {
		if object, is := conditions.GrantedOn(label); is && !strings.Contains(object, " information_schema.") {
			on = append(on, object)
		}
	}
	if len(on) > 0 {
		m.warning("not-carried", strings.Join(on[:min(len(on), 5)], ", "), fmt.Sprintf("production's database has granted or revoked privileges on this, %d in all, that PostgreSQL or an extension brought; that is not carried over", len(on)),
			"GRANT and REVOKE the same on the shadow's server, as far as it is still wanted; pg_dump --schema-only writes the statements")
	}
}
