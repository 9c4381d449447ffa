package traffic

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// password is the one of most connection strings here.
var password = regexp.MustCompile(`secret@|[=:"']secret`)

// codes are those of findings, blockers marked.
func (f *fixture) codes() []string {
	f.t.Helper()
	found, err := f.traffic.Inspect(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	var codes []string
	for _, x := range found {
		code := strings.TrimPrefix(x.Code, "pgbouncer-")
		if x.Level == plans.Blocker {
			code += "!"
		}
		codes = append(codes, code)
		if x.Message == "" || x.Fix == "" || password.MatchString(x.Message+x.Fix) {
			f.t.Errorf("%+v", x)
		}
	}
	slices.Sort(codes) // users come in any order
	return codes
}

func (f *fixture) wantCodes(want ...string) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.codes()); diff != "" {
		f.t.Error(diff)
	}
}

func TestInspectFindsWhatStandsAgainstTheSwitch(t *testing.T) {
	t.Parallel()
	users := map[string]string{"looker": "secret"}
	for name, c := range map[string]struct {
		settings map[string]string
		setup    func(*fixture)
		want     []string
	}{
		"nothing": {},
		"a user that may not log in": {
			setup: func(f *fixture) { f.file.Traffic.PgBouncer[0].AdminDSN = f.bouncer.DSNAs("postgres", "pgbouncer") },
			want:  []string{"login!"}},
		"a user that may only look": {
			settings: map[string]string{"stats_users": "looker"},
			setup:    func(f *fixture) { f.file.Traffic.PgBouncer[0].AdminDSN = f.bouncer.DSNAs("looker", "pgbouncer") },
			want:     []string{"rights!"}},
		"nobody there": {
			setup: func(f *fixture) { f.file.Traffic.PgBouncer[0].AdminDSN = "postgres://u:secret@127.0.0.1:1/x" },
			want:  []string{"unreachable!"}},
		"session pooling": {settings: map[string]string{"pool_mode": "session"}, want: []string{"pool-mode!"}},
		"session pooling of the entry": {
			setup: func(f *fixture) { f.change("shop = ", "shop = pool_mode=session "); f.admin("RELOAD") },
			want:  []string{"pool-mode!"}},
		"entry in transaction mode": {settings: map[string]string{"pool_mode": "session"},
			setup: func(f *fixture) { f.change("shop = ", "shop = pool_mode=transaction "); f.admin("RELOAD") }},
		"session pooling of a user": {
			setup: func(f *fixture) {
				f.change("[pgbouncer]", "[users]\npostgres = pool_mode=session\nlooker=pool_mode=session\n[pgbouncer]")
				f.admin("RELOAD")
				run(f.t, client(f.t, f.bouncer.DSN("shop")), "SELECT 1")
			},
			want: []string{"user-pool-mode", "user-pool-mode!"}},
		"impatient": {settings: map[string]string{"query_wait_timeout": "1"}, want: []string{"wait-timeout!"}},
		"a second entry": {
			setup: func(f *fixture) {
				f.change("shop = ", "again = "+strings.Replace(f.rest(), "127.0.0.1", "localhost", 1)+"\nshop = ")
				f.admin("RELOAD")
			},
			want: []string{"other-entry!"}},
		"a fallback beside it": {
			setup: func(f *fixture) { f.change("shop = ", "* = "+f.rest()+"\nshop = "); f.admin("RELOAD") },
			want:  []string{"other-entry!"}},
		"another database": {
			setup: func(f *fixture) {
				f.change("shop = ", "else = "+before(f.rest(), 'd')+"dbname=postgres\nshop = ")
				f.admin("RELOAD")
			}},
		"no entry": {
			setup: func(f *fixture) { f.file.Traffic.PgBouncer[0].Database = "shoppe" },
			want:  []string{"entry!"}},
		"only the fallback": {
			setup: func(f *fixture) { f.change("shop = ", "* = ") }, want: []string{"fallback!"}},
		"edited, not loaded": {
			setup: func(f *fixture) { f.change("shop = host=127.0.0.1", "shop = host=localhost") }, want: []string{"pending!"}},
		"not loadable": {setup: func(f *fixture) { f.change("[pgbouncer]", "[pgbouncer") }, want: []string{"config!"}},
		"no such file": {setup: func(f *fixture) { f.file.Traffic.PgBouncer[0].Config += "x" }, want: []string{"config!"}},
		"disabled":     {setup: func(f *fixture) { f.admin("DISABLE shop") }, want: []string{"disabled!"}},
		"shared port":  {settings: map[string]string{"so_reuseport": "1"}, want: []string{"shared-port!"}},
		"another file": {
			setup: func(f *fixture) {
				path := f.bouncer.ConfigPath() + ".other"
				f.write(path, f.config())
				f.file.Traffic.PgBouncer[0].Config = path
			},
			want: []string{"config-other"}},
		"paused": {setup: func(f *fixture) { f.admin("PAUSE shop") }, want: []string{"paused!"}},
		"not production's entry": {
			setup: func(f *fixture) { f.file.Production.DSN = testcontainers.Database(f.t) }, want: []string{"elsewhere!"}},
		"a target that is not the shadow": {
			setup: func(f *fixture) { f.file.Traffic.PgBouncer[0].Target = "dbname=postgres" }, want: []string{"elsewhere!"}},
		"a target that only PgBouncer knows": {
			setup: func(f *fixture) { f.file.Traffic.PgBouncer[0].Target = "host=127.0.0.1 port=1" }, want: []string{"not-checked"}},
		"after the switch": {
			setup: func(f *fixture) { f.must(f.traffic.Pause); f.must(leadTo(f.traffic, Shadow)); f.must(f.traffic.Resume) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, testcontainers.PgBouncerOptions{Settings: c.settings, Users: users})
			if c.setup != nil {
				c.setup(f)
			}
			f.traffic = open(t, f.file)
			f.wantCodes(c.want...)
		})
	}
}

// rest is what the entry of production says, without its host.
func (f *fixture) rest() string {
	f.t.Helper()
	c, err := pgx.ParseConfig(f.file.Production.DSN)
	if err != nil {
		f.t.Fatal(err)
	}
	return fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s", c.Port, c.Database)
}

func TestAWrongPasswordIsAFinding(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{Settings: map[string]string{"auth_type": "scram-sha-256"}})
	f.wantCodes()
	f.file.Traffic.PgBouncer[0].AdminDSN = strings.Replace(f.bouncer.AdminDSN(), "secret", "guess", 1)
	f.traffic = open(t, f.file)
	f.wantCodes("login!")
}

func TestAnIncludedFileIsTheOneThatIsRewritten(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	main := f.config()
	entries := main[strings.Index(main, "shop = "):strings.Index(main, "[pgbouncer]")]
	included := f.bouncer.ConfigPath() + ".d"
	f.write(included, strings.TrimSpace(entries))
	f.change(entries, "%include "+included+"\n")
	f.admin("RELOAD")
	f.wantCodes()
	outer := f.config()
	f.must(f.traffic.Pause)
	f.must(leadTo(f.traffic, Shadow))
	f.wantSide(Side{Leads: Shadow, File: Shadow, Paused: true})
	f.must(leadTo(f.traffic, Production))
	f.must(f.traffic.Resume)
	f.wantSide(Side{Leads: Production, File: Production})
	if diff := cmp.Diff(outer, f.config()); diff != "" {
		t.Error(diff)
	}
}

func TestStepsAreWhatIsDone(t *testing.T) {
	t.Parallel()
	f := &planfile.File{Name: "r", Settings: plans.DefaultSettings()}
	f.Production.DSN, f.Shadow.DSN = "postgres://u:secret@db1/shop", "postgres://u:secret@db2:5433/shop"
	f.Traffic.PgBouncer = []planfile.PgBouncerFile{{AdminDSN: "postgres://a:secret@pool:6432", Database: "my-shop", Config: "/etc/pgbouncer.ini", Target: "host=db2.internal"}}
	f.Traffic.Command = []string{"/bin/lead", "to it"}
	want := []string{
		`PgBouncer pool:6432: PAUSE "my-shop"`,
		"entry my-shop in /etc/pgbouncer.ini: host=db2.internal port=5433 dbname=shop",
		"PgBouncer pool:6432: RELOAD",
		"PgBouncer pool:6432: SHOW DATABASES",
		`PgBouncer pool:6432: RECONNECT "my-shop"`,
		`PgBouncer pool:6432: RESUME "my-shop"`,
		`run "/bin/lead" "to it" with PGUMBRA_STEP=switch PGUMBRA_TO_HOST=db2`,
	}
	if diff := cmp.Diff(want, open(t, f).Steps()); diff != "" {
		t.Error(diff)
	}
}

func TestOpenRefusesATargetThatNoEntryCanHold(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"host", "port=x", "port=0", "user=u", "host='a\nb'"} {
		f := &planfile.File{Name: "r", Settings: plans.DefaultSettings()}
		f.Shadow.DSN = "postgres://db2/shop"
		f.Traffic.PgBouncer = []planfile.PgBouncerFile{{AdminDSN: "host=pool", Database: "shop", Config: "x", Target: target}}
		if _, err := Open(f, nil); err == nil {
			t.Errorf("%q was taken", target)
		}
	}
}

func TestWithoutTrafficNothingIsDone(t *testing.T) {
	t.Parallel()
	traffic := open(t, &planfile.File{Name: "r", Settings: plans.DefaultSettings()})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for _, step := range []func(context.Context) error{traffic.Pause, leadTo(traffic, Shadow), leadTo(traffic, Production), traffic.Resume} {
		if err := step(ctx); err != nil {
			t.Error(err)
		}
	}
	if side, err := traffic.Side(ctx); err != nil || side.Leads != Unknown || !traffic.ByHand() {
		t.Errorf("%+v (%v)", side, err)
	}
}
