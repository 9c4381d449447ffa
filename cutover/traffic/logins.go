package traffic

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// logins looks whether each user of the pool, who gets in at production's place,
// gets in at the new one: by a login with the secret that PgBouncer has, where
// that is a password; else by what the servers have of it. Nothing is said of who
// does not get in today.
type logins struct {
	*inspection
	own          map[string]string // what the entry says
	was, will    door
	ours, theirs *roles
	secrets      map[string]string // of auth_file
	pooled       map[string]bool   // users that have a pool of this database
	admins       []string
	size         int // of a pool
	query        authQuery
	lock         sync.Mutex
}

// loginsAtOnce bounds how many sessions a look takes on each server.
const loginsAtOnce = 4

// logins is asked while the entry leads to production. A server that the plan's
// own connection strings do not reach is named by who connects to it.
func (i *inspection) logins(ctx context.Context, e entry) error {
	l := &logins{inspection: i, own: map[string]string{}, pooled: map[string]bool{},
		was: door{e.leads, i.settings}, will: door{i.target, i.settings},
		admins: strings.FieldsFunc(i.settings["admin_users"]+","+i.settings["stats_users"], func(r rune) bool { return r == ',' || r == ' ' })}
	pairs, err := parsePairs(e.value)
	if err != nil {
		return nil // said by file
	}
	for _, p := range pairs {
		l.own[p.key] = p.value
	}
	if l.secrets, err = i.authFile(); err != nil {
		i.note(plans.Warning, "auth-file", err.Error()+": whether users get in at the new place is known by what the servers say alone", "make it readable for pgumbra")
	}
	if l.ours, err = readRoles(ctx, i.plan.Production.DSN); err != nil {
		return nil
	}
	defer l.ours.close()
	if l.theirs, err = readRoles(ctx, i.plan.Shadow.DSN); err != nil {
		return nil
	}
	defer l.theirs.close()
	if err := l.pools(ctx); err != nil {
		return err
	}
	l.setQuery()
	if err := l.askQuery(ctx); err != nil {
		return err
	}
	return l.everyUser(ctx)
}

// pools reads who has a pool of the database now, and how large one may become.
func (l *logins) pools(ctx context.Context) error {
	pools, err := l.console.show(ctx, "POOLS")
	if err != nil {
		return err
	}
	for _, r := range pools {
		if r["database"] == l.database {
			l.pooled[r["user"]] = true
		}
	}
	databases, err := l.console.show(ctx, "DATABASES")
	for _, r := range databases {
		if r["name"] == l.database {
			l.size, _ = strconv.Atoi(r["pool_size"])
		}
	}
	return err
}

// everyUser judges all, some at once; findings come in the order of names.
func (l *logins) everyUser(ctx context.Context) error {
	before := len(l.found)
	var group errgroup.Group
	group.SetLimit(loginsAtOnce)
	for _, user := range l.users() {
		group.Go(func() error {
			l.classify(ctx, user)
			return ctx.Err()
		})
	}
	err := group.Wait()
	slices.SortStableFunc(l.found[before:], func(a, b plans.Finding) int { return strings.Compare(a.Message, b.Message) })
	if l.theirs.limit >= 0 && l.theirs.limit < l.size && (l.ours.limit < 0 || l.ours.limit > l.theirs.limit) {
		l.block("connection-limit", fmt.Sprintf("the shadow's database takes %d sessions, and a pool may have %d", l.theirs.limit, l.size),
			"ALTER DATABASE ... CONNECTION LIMIT on the shadow's server, as production has it")
	}
	return err
}

// users are those that PgBouncer logs in as: the entry's own, or whoever has a
// pool, stands in auth_file or may come in by auth_query.
func (l *logins) users() []string {
	if forced := l.own["user"]; forced != "" {
		return []string{forced}
	}
	all := map[string]bool{}
	maps.Copy(all, l.pooled)
	for name, r := range l.ours.known {
		_, filed := l.secrets[name]
		if r.Login && r.Connect && (filed || l.query.is() && name != l.query.user) {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// secret is what PgBouncer has for a user before it asks anybody.
func (l *logins) secret(user string) string {
	if user == l.own["user"] && l.own["password"] != "" {
		return l.own["password"]
	}
	return l.secrets[user]
}

// note of what stands against one user: a blocker for who has a pool, or is there
// for one; a warning for who might come.
func (l *logins) against(user, code, message, fix string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	_, filed := l.secrets[user]
	if l.pooled[user] || user == l.own["user"] || filed && !slices.Contains(l.admins, user) {
		l.block(code, message, fix)
		return
	}
	l.note(plans.Warning, code, message, fix)
}

const carryOver = "carry its hash over unread, as a superuser: pg_dumpall --roles-only on production writes it as ALTER ROLE ... PASSWORD '<hash>', to be typed on the shadow's server"

func (l *logins) classify(ctx context.Context, user string) {
	theirs, there := l.theirs.known[user]
	ours := l.ours.known[user]
	switch name := pg.Ident(user); {
	case !there && ours.Login:
		l.against(user, "user-login", "user "+user+" gets in in production, and the shadow's server has no such role", "make it there: see role-absent in the plan")
		return
	case there && ours.Login && !theirs.Login:
		l.against(user, "user-login", "user "+user+" gets in in production, and its role may not log in on the shadow's server", "on the shadow's server: ALTER ROLE "+name+" LOGIN;")
		return
	case theirs.Expired && !ours.Expired:
		l.against(user, "user-login", "the password of user "+user+" has expired on the shadow's server, and not in production", "on the shadow's server: ALTER ROLE "+name+" VALID UNTIL ...; as production has it")
		return
	case theirs.Limit >= 0 && theirs.Limit < l.size && (ours.Limit < 0 || ours.Limit > theirs.Limit):
		l.against(user, "connection-limit", fmt.Sprintf("role %s may have %d sessions on the shadow's server, and its pool %d", user, theirs.Limit, l.size),
			fmt.Sprintf("on the shadow's server: ALTER ROLE %s CONNECTION LIMIT %d;", name, ours.Limit))
		return
	}
	if kindOf(l.secret(user)) == plain {
		l.tryPassword(ctx, user)
		return
	}
	l.compare(ctx, user)
}

// connectPrivilege is refused to whoever has no CONNECT on the database: the swap
// gives what production gives.
const connectPrivilege = pgerrcode.InsufficientPrivilege

// tryPassword logs in as PgBouncer would.
func (l *logins) tryPassword(ctx context.Context, user string) {
	a := l.will.enter(ctx, user, l.secret(user))
	if a.err != nil {
		l.unreached(a.err)
	}
	if a.refused == nil || a.refused.Code == connectPrivilege {
		return
	}
	if l.was.enter(ctx, user, l.secret(user)).refused == nil {
		l.refused(user, a)
	}
}

// unreached says, once, that nobody can try the new place from here.
func (l *logins) unreached(err error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	const code = "not-checked"
	if !slices.ContainsFunc(l.found, func(f plans.Finding) bool { return f.Code == "pgbouncer-"+code }) {
		l.note(plans.Warning, code, fmt.Sprintf("whether users get in at %s cannot be tried from here: %s", l.target, pg.Redact(err.Error())),
			"make sure that PgBouncer reaches it, and that its users may log in there")
	}
}

func (l *logins) refused(user string, a answer) {
	fix := "see to it on the shadow's server"
	switch a.refused.Code {
	case pgerrcode.InvalidPassword:
		fix = carryOver
	case pgerrcode.InvalidAuthorizationSpecification:
		fix = "a line for it in pg_hba.conf of the shadow's server, as production's has one for the address that PgBouncer comes from, then SELECT pg_reload_conf()"
	}
	l.against(user, "user-login", fmt.Sprintf("user %s gets in in production, and is refused at %s: %s (SQLSTATE %s)", user, l.target, a.refused.Message, a.refused.Code), fix)
}

// compare goes by what is known of a user whose password PgBouncer has not: the
// way in which the new place asks, and the secrets on both sides.
func (l *logins) compare(ctx context.Context, user string) {
	a := l.will.knock(ctx, user)
	if a.refused != nil && l.was.knock(ctx, user).refused == nil {
		l.refused(user, a)
	}
	if a.err != nil {
		l.unreached(a.err)
	}
	if a.err != nil || a.refused != nil || a.asks == "" {
		return
	}
	has := kindOf(l.secret(user))
	asked := map[string]secretKind{"md5": md5, "scram-sha-256": scram}[a.asks]
	_, filed := l.secrets[user]
	byQuery := !filed && l.query.is() && user != l.own["user"]
	if !byQuery && has != asked { // no answer that PgBouncer could give
		if b := l.was.knock(ctx, user); b.opens() && b.asks != a.asks {
			l.against(user, "user-login", fmt.Sprintf("%s asks user %s for a password by %s, production does not, and PgBouncer has %s of it", l.target, user, a.asks, has),
				"the same method in pg_hba.conf of both servers; or its "+a.asks+" secret, or its password, in PgBouncer's auth_file")
		}
		return
	}
	l.compareSecrets(user, byQuery)
}

// compareSecrets: PgBouncer answers with what it has, or with what a client proved
// to it before the switch; either is good for one very secret alone.
func (l *logins) compareSecrets(user string, byQuery bool) {
	old, oldKnown := l.secretOf(l.ours, l.query.was, user)
	if !byQuery {
		old, oldKnown = l.secret(user), true
	}
	now, nowKnown := l.secretOf(l.theirs, l.query.will, user)
	switch {
	case !oldKnown || !nowKnown:
		l.lock.Lock()
		defer l.lock.Unlock()
		l.note(plans.Warning, "user-unknown", "whether user "+user+" has the same secret on both servers cannot be read",
			"compare pg_authid.rolpassword as a superuser on both; "+carryOver)
	case kindOf(old) != kindOf(now):
		l.against(user, "user-secret", fmt.Sprintf("user %s has %s in production, and %s on the shadow's server: PgBouncer could not log in as it", user, kindOf(old), kindOf(now)), carryOver)
	case old != now:
		l.against(user, "user-secret", fmt.Sprintf("user %s has %s on the shadow's server that is not production's: PgBouncer could not log in as it, be the password the same or not", user, kindOf(old)), carryOver)
	}
}

// secretOf is a user's secret by the catalog, or by what auth_query answered.
func (l *logins) secretOf(r *roles, answers map[string]string, user string) (secret string, known bool) {
	if r.readable {
		return r.known[user].Secret, true
	}
	secret, known = answers[user]
	return secret, known
}
