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

//go:embed findings_roles.sql
var rolesSQL string

// role is one of a server's, with what makes it what it is.
type role struct {
	Name        string
	Attributes  []string // as CREATE ROLE takes them, each one but SUPERUSER
	Login       bool     // clients may come in as it
	Groups      []string // names of those of MemberOf that do not come with PostgreSQL
	MemberOf    []string // GRANT … TO it, without the GRANT; superusers left out
	Settings    []string // name=value, for every database
	Powers      []string // what makes it master of the whole server: no statement that we print gives that
	HasPassword *bool    // nil: not readable
}

// checkRoles compares the roles that the shadow needs, and those that clients
// come in as, with what its server has.
func (m *trial) checkRoles(ctx context.Context) error {
	if !m.plan.Remote {
		return nil
	}
	needed, err := m.rolesNeeded(ctx)
	if err != nil {
		return fmt.Errorf("read which roles the structure names: %w", err)
	}
	ours, err := readRoles(ctx, m.db, m.session.Superuser)
	if err != nil {
		return fmt.Errorf("read production's roles: %w", err)
	}
	var clients []string // who may come in, and what they are members of
	for _, r := range ours {
		if r.Login {
			clients = append(clients, r.Name)
		}
	}
	clients = withGroups(clients, ours)
	theirs, err := readRoles(ctx, m.side.db, m.side.superuser)
	if err != nil {
		return fmt.Errorf("read the shadow's roles: %w", err)
	}
	needed = withGroups(needed, ours)
	named := withGroups(m.side.wanted.rolesNamed(), ours)
	for _, r := range groupsFirst(ours) {
		needs := slices.Contains(needed, r.Name)
		at := slices.IndexFunc(theirs, func(t role) bool { return t.Name == r.Name })
		switch {
		case at < 0 && needs:
			m.blocker("role-absent", r.Name, "the shadow's server has no role of this name, which owns or is granted something, or whose members do", r.create())
		case at < 0 && (slices.Contains(named, r.Name) || slices.Contains(clients, r.Name) && !r.Login):
			m.warning("role-absent", r.Name, "the shadow's server has no role of this name, to which production's database grants something, or for which it has settings", r.create())
		case at < 0 && r.Login:
			m.warning("role-absent", r.Name, "the shadow's server has no role of this name: clients that come in as it will not get in", r.create())
		case at >= 0 && (needs || r.Login):
			m.compareRole(r, theirs[at])
		}
	}
	return nil
}

// withGroups adds the roles that the named ones are members of, directly or not:
// a statement that grants membership needs them.
func withGroups(names []string, all []role) []string {
	names = slices.Clone(names)
	for i := 0; i < len(names); i++ {
		at := slices.IndexFunc(all, func(r role) bool { return r.Name == names[i] })
		if at < 0 {
			continue
		}
		for _, g := range all[at].Groups {
			if !slices.Contains(names, g) {
				names = append(names, g)
			}
		}
	}
	return names
}

// groupsFirst puts each role behind those that it is a member of, so that the
// statements of the findings can be typed in their order. Membership has no
// circles.
func groupsFirst(all []role) []role {
	var ordered []role
	var add func(r role)
	add = func(r role) {
		if slices.ContainsFunc(ordered, func(o role) bool { return o.Name == r.Name }) {
			return
		}
		for _, g := range r.Groups {
			if at := slices.IndexFunc(all, func(o role) bool { return o.Name == g }); at >= 0 {
				add(all[at])
			}
		}
		ordered = append(ordered, r)
	}
	for _, r := range all {
		add(r)
	}
	return ordered
}

// rolesNeeded are the owners and grantees of what is made on the shadow.
func (m *trial) rolesNeeded(ctx context.Context) ([]string, error) {
	var names []string
	classes, oids := []uint32{}, []uint32{}
	schemas := slices.Clone(m.file.Production.Schemas)
	for _, e := range m.plan.Entries {
		if e.Tag == plans.TagSchemaOf {
			schemas = append(schemas, e.Name.Name)
		}
		if e.Owner != "" && !slices.Contains(names, e.Owner) {
			names = append(names, e.Owner)
		}
		if e.Class != 0 && e.OID != 0 {
			classes, oids = append(classes, e.Class), append(oids, e.OID)
		}
	}
	rows, err := m.scratch.db.Query(ctx, `SELECT DISTINCT r.rolname::text FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
		WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.refclassid = 'pg_authid'::regclass
			AND ((d.classid, d.objid) IN (SELECT * FROM unnest($1::oid[], $2::oid[])) OR d.classid = 'pg_default_acl'::regclass)
		UNION SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = ANY ($3)
		UNION SELECT r.rolname::text FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a JOIN pg_roles r ON r.oid = a.grantee
		WHERE n.nspname = ANY ($3)`, classes, oids, schemas)
	if err != nil {
		return nil, err
	}
	more, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return append(names, more...), err
}

func readRoles(ctx context.Context, db pg.Querier, superuser bool) ([]role, error) {
	password := "NULL::boolean" // pg_authid is for superusers
	from := "pg_roles"
	if superuser {
		password, from = "r.rolpassword IS NOT NULL", "pg_authid"
	}
	rows, err := db.Query(ctx, strings.NewReplacer("{{password}}", password, "{{from}}", from).Replace(rolesSQL))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[role])
}

// create is what to type, on the shadow's server.
func (r role) create() string {
	all := []string{strings.TrimSpace("CREATE ROLE "+pg.Ident(r.Name)+" "+strings.Join(without(r.Attributes, standardAttributes), " ")) + ";"}
	all = append(append(all, r.grants(r.MemberOf)...), r.set(r.Settings)...)
	text := strings.Join(all, " ") + powersHint(r.Powers)
	if r.Login && (r.HasPassword == nil || *r.HasPassword) {
		text += passwordHint
	}
	return text
}

// standardAttributes are what CREATE ROLE gives where it is told nothing. They
// are not named: some of them only a superuser may name.
var standardAttributes = []string{"NOSUPERUSER", "INHERIT", "NOCREATEROLE", "NOCREATEDB", "NOLOGIN", "NOREPLICATION", "NOBYPASSRLS", "CONNECTION LIMIT -1", "VALID UNTIL 'infinity'"}

// without are the words of one list that the other has not.
func without(all, there []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(there, s) })
}

// powersHint: what production gives to a role was decided for its server alone.
func powersHint(powers []string) string {
	if len(powers) == 0 {
		return ""
	}
	return " -- in production it has " + strings.Join(powers, ", ") + " too; clients that need that there are for its DBA to judge"
}

const passwordHint = " -- and its password, which a superuser can carry over unread: pg_dumpall --roles-only writes it as ALTER ROLE … PASSWORD '<hash>'"

func (r role) grants(groups []string) []string {
	all := make([]string, len(groups))
	for i, g := range groups {
		all[i] = "GRANT " + g + ";"
	}
	return all
}

func (r role) set(settings []string) []string {
	all := make([]string, len(settings))
	for i, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		all[i] = "ALTER ROLE " + pg.Ident(r.Name) + " " + setText(name, value) + ";"
	}
	return all
}

// lackedBy is what to type on the other server, where the role has less; empty: nothing.
func (r role) lackedBy(theirs role) string {
	var differs []string
	if attributes := without(r.Attributes, theirs.Attributes); len(attributes) > 0 {
		differs = append(differs, "ALTER ROLE "+pg.Ident(r.Name)+" "+strings.Join(attributes, " ")+";")
	}
	differs = append(differs, r.grants(without(r.MemberOf, theirs.MemberOf))...)
	differs = append(differs, r.set(without(r.Settings, theirs.Settings))...)
	return strings.TrimSpace(strings.Join(differs, " ") + powersHint(without(r.Powers, theirs.Powers)))
}

// compareRole: what a client could do, or would find set, before and cannot after.
func (m *task) compareRole(ours, theirs role) {
	if fix := ours.lackedBy(theirs); fix != "" {
		m.warning("role-differs", ours.Name, "this role can or finds something in production that it does not on the shadow's server", fix)
	}
	if ours.Login && ours.HasPassword != nil && theirs.HasPassword != nil && *ours.HasPassword && !*theirs.HasPassword {
		m.warning("role-password", ours.Name, "this role has a password in production and none on the shadow's server",
			"carry it over unread, as a superuser: pg_dumpall --roles-only writes it as ALTER ROLE … PASSWORD '<hash>'; a PgBouncer that passes SCRAM through needs the very same hash on both")
	}
}

// checkShadowRights names each right that is missing in the shadow's database,
// with the statement that gives it.
func (m *site) checkShadowRights(ctx context.Context) error {
	if m.side.superuser {
		return nil
	}
	var create, temporary, trusted bool
	err := m.side.db.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMPORARY'),
		pg_has_role('pg_read_all_stats', 'USAGE')`).Scan(&create, &temporary, &trusted)
	if err != nil {
		return err
	}
	database, us := pg.Ident(m.side.database), pg.Ident(m.side.user)
	if !create {
		m.missingThere("the control schema and the shadow's schemas cannot be made in the shadow's database", "GRANT CREATE ON DATABASE "+database+" TO "+us+";")
	}
	if !temporary {
		m.missingThere("the shadow's database allows no temporary tables, through which changes are replayed", "GRANT TEMPORARY ON DATABASE "+database+" TO "+us+";")
	}
	if !trusted {
		m.missingThere("the state of other sessions in the shadow's database cannot be seen", "GRANT pg_read_all_stats TO "+us+";")
	}
	return nil
}

func (m *site) missingThere(message, grant string) {
	m.blocker("shadow-privileges", m.side.user, message, "on the shadow's server: "+grant)
}

// checkStillMay asks, when the trial has changed the shadow's database, for what
// the cutover needs to do its work there, and the watch after it.
func (m *site) checkStillMay(ctx context.Context, db pg.Querier) error {
	var connect, create bool
	err := db.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CONNECT'), has_database_privilege(current_database(), 'CREATE')`).Scan(&connect, &create)
	if err != nil {
		return fmt.Errorf("read our privileges on the shadow: %w", err)
	}
	database, us := pg.Ident(m.side.database), pg.Ident(m.side.user)
	var lost []string
	if !connect {
		lost = append(lost, "CONNECT")
	}
	if !create {
		lost = append(lost, "CREATE")
	}
	if len(lost) > 0 {
		m.missingThere("with production's privileges we could not connect to the shadow's database any more, or not rename its schemas",
			"GRANT "+strings.Join(lost, ", ")+" ON DATABASE "+database+" TO "+us+";")
	}
	for _, s := range m.plan.Schemas {
		if s.Swap != plans.Move {
			continue
		}
		if err := db.QueryRow(ctx, `SELECT coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = $1), true)`, s.Production).Scan(&create); err != nil {
			return fmt.Errorf("read our privileges on the shadow: %w", err)
		}
		if !create {
			m.missingThere("objects cannot be moved into schema "+s.Production, "GRANT CREATE ON SCHEMA "+pg.Ident(s.Production)+" TO "+us+";")
		}
	}
	return nil
}

// checkShadowOwners: what the shadow's objects are to belong to must be a role
// that we can give them to.
func (m *site) checkShadowOwners(ctx context.Context) error {
	if !m.plan.Remote || m.side.superuser {
		return nil
	}
	var owners []string
	for _, e := range m.plan.Entries {
		if e.Owner != "" && e.Owner != "pg_database_owner" && !slices.Contains(owners, e.Owner) {
			owners = append(owners, e.Owner)
		}
	}
	right := "USAGE"
	if m.side.server >= 160000 {
		right = "SET" // a membership may be without it since
	}
	for _, owner := range owners {
		var member bool
		err := m.side.db.QueryRow(ctx, `SELECT coalesce((SELECT pg_has_role(oid, $2) FROM pg_roles WHERE rolname = $1), true)`, owner, right).Scan(&member)
		if err != nil {
			return fmt.Errorf("read our memberships on the shadow: %w", err)
		}
		if !member {
			m.missingThere("objects cannot be given to "+owner, mayActAs(ctx, m.side.db, owner, m.side.user))
		}
	}
	return nil
}
