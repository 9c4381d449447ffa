package planner

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// A superuser's migrations do not run in scratch as a superuser: what they call
// was partly written by others, and a function that makes a role, reads a file or
// calls another server would do so from a dry run. They run as the guest, a role of
// the scratch database's own, which may log in and nothing else. Whoever owns
// something in scratch is replaced there by a stand-in, of which the guest is a
// member, so that it may do in scratch what a superuser may, and nothing outside:
// it is a member of no role that anybody else uses. The guest itself stands in for
// the superuser, whose objects the new ones become.
//
// Where scratch is made by a role that is no superuser, that role runs them, as it
// would in production.

//go:embed scratch_role.sql
var scratchRoleSQL string

// guest runs migrations in scratch.
type guest struct {
	name     string
	password string
	host     string            // where it can log in; empty: where the connection string says
	standIns map[string]string // by the role that is replaced; the superuser's is the guest
	lifted   []lifted          // statements run with the superuser's rights
}

// lifted is a statement that runs with the superuser's rights.
type lifted struct {
	sql  string
	sets bool // it changes the session's settings
}

// roleMark begins the comment of a role of scratch's own.
const roleMark = "pgumbra scratch role of database "

// guestName is the same for each plan of a run, so that one that a killed plan
// left behind is found; stand-ins have a number behind it.
func guestName(scratch string) string {
	sum := sha256.Sum256([]byte(scratch))
	return "pgumbra_scratch_" + hex.EncodeToString(sum[:6])
}

// prepareGuest makes what confine calls, before event triggers of the user's stand
// in scratch.
func (s *scratch) prepareGuest(ctx context.Context) error {
	err := s.admin.QueryRow(ctx, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&s.super)
	if err != nil || !s.super {
		return err
	}
	if err := pg.ExecScript(ctx, s.db, scratchRoleSQL); err != nil {
		return fmt.Errorf("prepare the guest's place: %w", err)
	}
	return nil
}

// confine makes the guest and its stand-ins where scratch's role is a superuser,
// and puts them in place of the owners. texts are the migrations by version, in
// which roles that own something, or shall, are named as the stand-ins.
func (m *trial) confine(ctx context.Context, texts map[int64]string) error {
	s := m.scratch
	if !s.super {
		return nil
	}
	if err := m.makeGuest(ctx, texts); err != nil {
		return err
	}
	if err := m.findHost(ctx); err != nil {
		return err
	}
	if err := s.handAllOver(ctx); err != nil {
		return err
	}
	m.renameRoles(texts)
	return nil
}

// handAllOver puts the stand-ins in place of all owners.
func (s *scratch) handAllOver(ctx context.Context) error {
	for _, role := range sortedKeys(s.guest.standIns) {
		if err := s.handOver(ctx, role, s.guest.standIns[role]); err != nil {
			return err
		}
	}
	return nil
}

// release gives everything back to its true owners.
func (m *trial) release(ctx context.Context) error {
	s := m.scratch
	if s.guest == nil {
		return nil
	}
	for _, role := range sortedKeys(s.guest.standIns) {
		if err := s.handOver(ctx, s.guest.standIns[role], role); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (s *scratch) handOver(ctx context.Context, from, to string) error {
	_, err := s.db.Exec(ctx, `SELECT pgumbra_trace.hand_over(quote_ident($1)::regrole, quote_ident($2)::regrole)`, from, to)
	if err != nil {
		return fmt.Errorf("hand over what %s owns in scratch: %w", from, err)
	}
	return nil
}

// makeGuest makes the roles, in one transaction with their marks.
func (m *trial) makeGuest(ctx context.Context, texts map[int64]string) error {
	s := m.scratch
	g := &guest{name: guestName(s.name), password: rand.Text() + rand.Text(), standIns: map[string]string{}}
	var us string
	if err := s.admin.QueryRow(ctx, `SELECT current_user`).Scan(&us); err != nil {
		return err
	}
	owners, err := s.owners(ctx, rolesNamed(texts))
	if err != nil {
		return err
	}
	g.standIns[us] = g.name
	verifier, err := scram(g.password)
	if err != nil {
		return err
	}
	rowSecurity, err := s.rowSecurityOfGuest(ctx, texts)
	if err != nil {
		return err
	}
	script := "CREATE ROLE " + g.name + " LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION " + rowSecurity + " CONNECTION LIMIT 10 PASSWORD " +
		pg.Literal(verifier) + " VALID UNTIL " + pg.Literal(time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339)) + ";\n" + s.marked(g.name)
	for _, owner := range owners {
		if owner == us {
			continue
		}
		standIn := g.name + "_" + strconv.Itoa(len(g.standIns))
		g.standIns[owner] = standIn
		script += "CREATE ROLE " + standIn + ";\n" + s.marked(standIn) + "GRANT " + standIn + " TO " + g.name + ";\n"
	}
	if err := pg.ExecScript(ctx, s.admin, script); err != nil {
		if pg.State(err) == pgerrcode.DuplicateObject {
			m.blocker("name-taken", g.name, "a role of this name, or one that begins so, exists, and is none of a scratch database's", "drop or rename it, or choose another name: for the run")
			return errBlocked
		}
		return fmt.Errorf("make the role that runs the migrations in scratch: %w", err)
	}
	s.guest = g
	return s.admitGuest(ctx)
}

var forces = regexp.MustCompile(`(?i)\bforce\s+row\s+level\b`)

// rowSecurityOfGuest: as a member of the owners the guest sees the rows of all tables, as
// the superuser does for whom it stands, but of those that force row security on their
// owners. Only for these it gets a right that other databases know, too: a policy
// hid the sample from the migrations, and the comparison of its rows failed.
func (s *scratch) rowSecurityOfGuest(ctx context.Context, texts map[int64]string) (attribute string, err error) {
	var forced bool
	if err := s.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relforcerowsecurity)`).Scan(&forced); err != nil {
		return "", fmt.Errorf("look for forced row security in scratch: %w", err)
	}
	for _, text := range texts {
		forced = forced || forces.MatchString(text)
	}
	if forced {
		return "BYPASSRLS", nil
	}
	return "NOBYPASSRLS", nil
}

// admitGuest lets the guest into this database. Event triggers fire for a GRANT,
// and would have our rights.
func (s *scratch) admitGuest(ctx context.Context) error {
	err := pg.ExecScript(ctx, s.db, "SET session_replication_role = replica;\nGRANT ALL ON DATABASE "+pg.Ident(s.name)+" TO "+s.guest.name+
		";\nGRANT EXECUTE ON FUNCTION pgumbra_trace.lift(integer) TO "+s.guest.name+";\nRESET session_replication_role;")
	if err != nil {
		return fmt.Errorf("let the role that runs the migrations into %s: %w", s.name, err)
	}
	return nil
}

func (s *scratch) marked(role string) string {
	return "COMMENT ON ROLE " + role + " IS " + pg.Literal(roleMark+s.name) + ";\n"
}

// owners are the roles that own something in scratch, and those that the
// migrations will make owners.
func (s *scratch) owners(ctx context.Context, named []string) ([]string, error) {
	rows, err := s.db.Query(ctx, `SELECT rolname::text FROM pg_roles
		WHERE oid IN (SELECT o FROM pgumbra_trace.owners() AS o) OR rolname = ANY ($1) AND rolname !~ '^pg_' ORDER BY 1`, named)
	if err != nil {
		return nil, fmt.Errorf("read who owns what is in scratch: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// scram is what a server keeps of a password: so the password itself is in no
// statement, and in no log. RFC 5802 and 7677.
func scram(password string) (string, error) {
	const iterations = 4096
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("make a password: %w", err)
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(mac("Server Key"))), nil
}

// findHost logs the guest in: where a socket asks the operating system who
// somebody is, the server's own address may ask for the password.
func (m *trial) findHost(ctx context.Context) error {
	config, err := m.scratch.clientConfig(m.session)
	if err != nil {
		return err
	}
	hosts := []string{""}
	if strings.HasPrefix(config.Host, "/") {
		hosts = append(hosts, "localhost", "127.0.0.1")
	}
	var refused error
	for _, host := range hosts {
		m.scratch.guest.host = host
		if config, err = m.scratch.clientConfig(m.session); err != nil {
			return err
		}
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil {
			return conn.Close(ctx)
		}
		if refused == nil {
			refused = err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.blocker("scratch-login", m.scratch.guest.name, "the migrations run in scratch as a role without a superuser's rights, which the server does not let in: "+loginError(refused),
		"let it in by a line of pg_hba.conf: host "+pg.Ident(m.scratch.name)+" "+m.scratch.guest.name+" 127.0.0.1/32 scram-sha-256; or run pgumbra as a role that is no superuser; or name a throw-away server by scratch.dsn")
	return errBlocked
}

func loginError(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Message
	}
	return err.Error()
}

// dropGuest drops the roles of scratch's own, whichever plan made them: its
// database is gone by then. Where we may not there are none.
func (s *scratch) dropGuest(ctx context.Context) error {
	rows, err := s.admin.Query(ctx, `SELECT quote_ident(r.rolname) FROM pg_roles r
		WHERE (r.rolname = $1 OR starts_with(r.rolname, $1 || '_')) AND shobj_description(r.oid, 'pg_authid') = $2`, guestName(s.name), roleMark+s.name)
	if err != nil {
		return fmt.Errorf("look for scratch's roles: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) == 0 {
		return err
	}
	if _, err := s.admin.Exec(ctx, "DROP ROLE "+strings.Join(names, ", ")); err != nil {
		return fmt.Errorf("drop scratch's roles: %w", err)
	}
	return nil
}

// unmask writes true roles for stand-ins, in what people read and what is carried.
func (s *scratch) unmask(text string) string {
	if s.guest == nil || !strings.Contains(text, s.guest.name) {
		return text
	}
	for _, role := range sortedKeys(s.guest.standIns) { // the guest's name begins all others
		if standIn := s.guest.standIns[role]; standIn != s.guest.name {
			text = strings.ReplaceAll(text, standIn, role)
		}
	}
	for role, standIn := range s.guest.standIns {
		if standIn == s.guest.name {
			text = strings.ReplaceAll(text, standIn, role)
		}
	}
	return text
}

// lift lets one statement of a migration run with the superuser's rights, in the
// place where it stands. ok: it is one that may.
func (m *trial) lift(ctx context.Context, texts map[int64]string, version int64, statement syntax.Statement) (ok bool, err error) {
	s := m.scratch
	if s.guest == nil || !statement.Liftable || !strings.Contains(texts[version], statement.SQL) {
		return false, nil
	}
	s.guest.lifted = append(s.guest.lifted, lifted{statement.SQL, statement.Sets})
	n := len(s.guest.lifted)
	if err := s.keepLifted(ctx, n, s.guest.lifted[n-1]); err != nil {
		return false, err
	}
	call := fmt.Sprintf("SELECT pgumbra_trace.lift(%d)%s", n, strings.Repeat("\n", strings.Count(statement.SQL, "\n")))
	texts[version] = strings.Replace(texts[version], statement.SQL, call, 1)
	all := m.trace.statements[version]
	for i := range all {
		if all[i] == statement {
			all[i] = syntax.Statement{Line: statement.Line, EndLine: statement.EndLine, SQL: call}
			break
		}
	}
	return true, nil
}

func (s *scratch) keepLifted(ctx context.Context, n int, l lifted) error {
	_, err := s.db.Exec(ctx, `INSERT INTO pgumbra_trace.lifted (n, sql, sets, guest) VALUES ($1, $2, $3, $4::text::regrole)`, n, l.sql, l.sets, s.guest.name)
	if err != nil {
		return fmt.Errorf("prepare a statement for scratch: %w", err)
	}
	return nil
}
