package traffic

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestAuthFileIsReadAsPgBouncerDoes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]string{
		"":                                     {},
		"; comment\n\"a\" \"b\"\n":             {"a": "b"},
		"\"a\" \"x\"\n  \"a\" \"b\" more\n":    {"a": "b"},
		"\"a\"\"b\" \"c\"\"\"\n\n\"d\" \"\"\n": {`a"b`: `c"`, "d": ""},
		"\"a\" \"b\"\nbroken\n\"c\" \"d\"\n":   {"a": "b"},
		"\"a\" \"b\"\n\"c\"\n\"d\" \"e\"\n":    {"a": "b"},
	} {
		if diff := cmp.Diff(want, parseAuthFile(text)); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// twoServers ask for passwords by SCRAM, the old one some roles otherwise.
func twoServers(t *testing.T) (was, will *testcontainers.Server) {
	t.Helper()
	lines := map[bool]string{
		false: "host all md5er 127.0.0.1/32 md5\nhost all trusted 127.0.0.1/32 trust\n",
		true:  "host all barred 127.0.0.1/32 reject\n",
	}
	var both []*testcontainers.Server
	for _, isNew := range []bool{false, true} {
		s, err := testcontainers.Start(t.Context(), testcontainers.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop(context.Background()) })
		db := client(t, s.DSN("postgres"))
		var hba string
		if err := db.QueryRow(t.Context(), "SHOW hba_file").Scan(&hba); err != nil {
			t.Fatal(err)
		}
		text := "host all postgres 127.0.0.1/32 trust\n" + lines[isNew] + "host all all 127.0.0.1/32 scram-sha-256\n"
		if err := os.WriteFile(hba, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, db, "SELECT pg_reload_conf()")
		both = append(both, s)
	}
	return both[0], both[1]
}

// lookup is an auth_query function as PgBouncer's manual has it.
const lookup = `CREATE SCHEMA IF NOT EXISTS pool;
	CREATE OR REPLACE FUNCTION pool.lookup(u text, OUT name text, OUT secret text) LANGUAGE sql SECURITY DEFINER AS
		'SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = u';
	REVOKE ALL ON FUNCTION pool.lookup FROM PUBLIC;
	GRANT USAGE ON SCHEMA pool TO asker; GRANT EXECUTE ON FUNCTION pool.lookup TO asker;`

// case of a user of the pool, whose password is geheim in production. %s in SQL
// is its secret there.
type loginCase struct {
	user      string
	was, will string // statements on the servers
	file      string // in auth_file: a password; empty: the secret itself; none: no password; - not there
	settings  map[string]string
	entry     string // more of the entry
	want      []string
	shutOut   bool
}

var asked = map[string]string{"auth_user": "asker", "auth_query": "SELECT name, secret FROM pool.lookup($1)"}

// loginCases: who gets in at the old server, and who would not at the new one.
var loginCases = map[string]loginCase{
	"the same password":               {user: "same", will: "CREATE ROLE same LOGIN PASSWORD 'geheim'", file: "geheim"},
	"another password":                {user: "other", will: "CREATE ROLE other LOGIN PASSWORD 'anders'", file: "geheim", want: []string{"user-login!"}, shutOut: true},
	"the same SCRAM secret":           {user: "through", will: "CREATE ROLE through LOGIN PASSWORD '%s'"},
	"another SCRAM secret":            {user: "salted", will: "CREATE ROLE salted LOGIN PASSWORD 'geheim'", want: []string{"user-secret!"}, shutOut: true},
	"no such role":                    {user: "absent", file: "geheim", want: []string{"user-login!"}, shutOut: true},
	"a role without LOGIN":            {user: "grp", will: "CREATE ROLE grp NOLOGIN PASSWORD 'geheim'", file: "geheim", want: []string{"user-login!"}, shutOut: true},
	"an expired password":             {user: "late", will: "CREATE ROLE late LOGIN PASSWORD 'geheim' VALID UNTIL '2001-01-01'", file: "geheim", want: []string{"user-login!"}, shutOut: true},
	"refused by pg_hba":               {user: "barred", will: "CREATE ROLE barred LOGIN PASSWORD 'geheim'", file: "geheim", want: []string{"user-login!"}, shutOut: true},
	"refused by pg_hba, SCRAM secret": {user: "barred", will: "CREATE ROLE barred LOGIN PASSWORD '%s'", want: []string{"user-login!"}, shutOut: true},
	"no session allowed":              {user: "few", will: "CREATE ROLE few LOGIN PASSWORD 'geheim' CONNECTION LIMIT 0", file: "geheim", want: []string{"connection-limit!"}, shutOut: true},
	"md5 against SCRAM": {user: "md5er", was: "SET password_encryption = md5", will: "CREATE ROLE md5er LOGIN PASSWORD 'geheim'",
		settings: map[string]string{"auth_type": "md5"}, want: []string{"user-login!"}, shutOut: true},
	"no password needed before": {user: "trusted", will: "CREATE ROLE trusted LOGIN PASSWORD 'geheim'", file: "none",
		settings: map[string]string{"auth_type": "trust"}, want: []string{"user-login!"}, shutOut: true},
	"by auth_query": {user: "found", was: lookup, will: "CREATE ROLE found LOGIN PASSWORD '%s';" + lookup, file: "-", settings: asked},
	"by auth_query, another secret": {user: "found2", was: lookup, will: "CREATE ROLE found2 LOGIN PASSWORD 'geheim';" + lookup, file: "-", settings: asked,
		want: []string{"user-secret!"}, shutOut: true},
	"auth_query's function stays behind": {user: "lost", was: strings.ReplaceAll(lookup, "lookup", "lost"), will: "CREATE ROLE lost LOGIN PASSWORD '%s'", file: "-",
		settings: map[string]string{"auth_user": "asker", "auth_query": "SELECT name, secret FROM pool.lost($1)"}, want: []string{"auth-query!"}, shutOut: true},
	"auth_query may not be asked": {user: "mute", was: strings.ReplaceAll(lookup, "lookup", "mute"),
		will: "CREATE ROLE mute LOGIN PASSWORD '%s';" + strings.ReplaceAll(lookup, "lookup", "mute") + "REVOKE EXECUTE ON FUNCTION pool.mute FROM asker", file: "-",
		settings: map[string]string{"auth_user": "asker", "auth_query": "SELECT name, secret FROM pool.mute($1)"}, want: []string{"auth-query!"}, shutOut: true},
	"the entry's own user": {user: "forced", will: "CREATE ROLE forced LOGIN PASSWORD 'anders'", file: "geheim", entry: " user=forced password=geheim",
		want: []string{"user-login!"}, shutOut: true},
	"who does not get in today": {user: "never", was: "ALTER ROLE never PASSWORD 'anders'", will: "CREATE ROLE never LOGIN PASSWORD 'noch anders'", file: "geheim"},
}

// TestUsersOfThePoolGetInAtTheNewPlace: what Inspect says of a user is what it
// meets with once the switch is done.
func TestUsersOfThePoolGetInAtTheNewPlace(t *testing.T) {
	t.Parallel()
	was, will := twoServers(t)
	for _, s := range []*testcontainers.Server{was, will} {
		run(t, client(t, s.DSN("postgres")), "CREATE ROLE asker LOGIN PASSWORD 'geheim-asker'")
	}
	for name, c := range testcontainers.SomeOf(t, loginCases, 5) {
		t.Run(name, func(t *testing.T) {
			f := c.start(t, was, will)
			if c.user == "never" {
				f.wantBlockers(c.want)
				return
			}
			db := c.client(t, f)
			if err := c.reaches(t, db); err != nil {
				t.Fatal("it does not get in at the old server:", err)
			}
			f.wantBlockers(c.want)
			f.must(f.traffic.Pause)
			f.must(leadTo(f.traffic, Shadow))
			f.must(f.traffic.Resume)
			err := c.reaches(t, db)
			if err == nil { // who comes later has to get in as well
				err = c.comes(t, f)
			}
			if (err != nil) != c.shutOut {
				t.Errorf("at the new server: %v", err)
			}
		})
	}
}

// wantBlockers looks at those alone: warnings are of users of other cases. No
// secret is told.
func (f *fixture) wantBlockers(want []string) {
	f.t.Helper()
	found, err := f.traffic.Inspect(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	var got []string
	for _, x := range found {
		if x.Level == plans.Blocker {
			got = append(got, strings.TrimPrefix(x.Code, "pgbouncer-")+"!")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Error(diff)
	}
	if text := fmt.Sprint(found); strings.Contains(text, "geheim") || strings.Contains(text, "SCRAM-SHA-256$") {
		f.t.Errorf("a secret is told: %s", text)
	}
}

// comes is a new client of the case.
func (c loginCase) comes(t *testing.T, f *fixture) error {
	t.Helper()
	config, err := pgx.ParseConfig(c.dsn(t, f))
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.ConnectTimeout = 10 * time.Second
	db, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	return c.reaches(t, db)
}

// start makes the case's role on both servers and a PgBouncer before the old one.
func (c loginCase) start(t *testing.T, was, will *testcontainers.Server) *fixture {
	t.Helper()
	old, next := client(t, was.DSN("postgres")), client(t, will.DSN("postgres"))
	create := fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'geheim'", c.user)
	if strings.HasPrefix(c.was, "SET ") {
		run(t, old, c.was)
	}
	run(t, old, "DROP ROLE IF EXISTS "+c.user)
	run(t, old, create)
	if c.was != "" && !strings.HasPrefix(c.was, "SET ") {
		run(t, old, c.was)
	}
	var secret string
	if err := old.QueryRow(t.Context(), "SELECT rolpassword FROM pg_authid WHERE rolname = $1", c.user).Scan(&secret); err != nil {
		t.Fatal(err)
	}
	run(t, next, "DROP ROLE IF EXISTS "+c.user)
	t.Cleanup(func() {
		for _, s := range []*testcontainers.Server{was, will} {
			c.forget(t, s)
		}
	})
	if c.will != "" {
		run(t, next, strings.ReplaceAll(c.will, "%s", secret))
	}
	users := map[string]string{"asker": "geheim-asker"}
	switch c.file {
	case "":
		users[c.user] = secret
	case "-":
	case "none":
		users[c.user] = ""
	default:
		users[c.user] = c.file
	}
	settings := map[string]string{"auth_type": "scram-sha-256", "server_login_retry": "1", "query_wait_timeout": "5"}
	for k, v := range c.settings {
		settings[k] = v
	}
	f := &fixture{t: t, file: shopFile()}
	f.file.Production.DSN, f.file.Shadow.DSN = was.DSN("postgres"), will.DSN("postgres")
	f.bouncer = startBouncer(t, testcontainers.PgBouncerOptions{Databases: map[string]string{"shop": f.file.Production.DSN}, Users: users, Settings: settings})
	if c.entry != "" {
		f.change("dbname=postgres", "dbname=postgres"+c.entry)
		f.admin("RELOAD")
	}
	f.serve(f.bouncer)
	return f
}

// client comes in with the password that the user has in production.
func (c loginCase) client(t *testing.T, f *fixture) *pgx.Conn {
	t.Helper()
	return client(t, c.dsn(t, f))
}

func (c loginCase) dsn(t *testing.T, f *fixture) string {
	t.Helper()
	u, err := url.Parse(f.bouncer.DSN("shop"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(c.user, "geheim")
	return u.String()
}

func (c loginCase) reaches(t *testing.T, db *pgx.Conn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var user string
	err := db.QueryRow(ctx, "SELECT current_user").Scan(&user)
	if err == nil && user != c.user {
		err = fmt.Errorf("as %s", user)
	}
	return err
}

// TestSecretsThatNobodyMayReadAreNamed: where the plan's roles are no superusers,
// what cannot be known is said, and who has a password in auth_file is tried all the same.
func TestSecretsThatNobodyMayReadAreNamed(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	was, will := twoServers(t)
	c := loginCase{user: "through", will: "CREATE ROLE through LOGIN PASSWORD '%s'"}
	f := c.start(t, was, will)
	for _, s := range []*testcontainers.Server{was, will} {
		run(t, client(t, s.DSN("postgres")), "CREATE ROLE planner LOGIN PASSWORD 'geheim'; GRANT pg_monitor TO planner")
	}
	for _, dsn := range []*string{&f.file.Production.DSN, &f.file.Shadow.DSN} {
		u, err := url.Parse(*dsn)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("planner", "geheim")
		*dsn = u.String()
	}
	f.traffic = open(t, f.file)
	if got := f.codes(); !slices.Contains(got, "user-unknown") || slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, "!") }) {
		t.Errorf("%v", got)
	}
}

// forget drops the case's role, which no other case is to meet with.
func (c loginCase) forget(t *testing.T, s *testcontainers.Server) {
	t.Helper()
	db, err := pgx.Connect(context.Background(), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }()
	if _, err := db.Exec(context.Background(), "DROP ROLE IF EXISTS "+c.user); err != nil {
		t.Error(err)
	}
}
