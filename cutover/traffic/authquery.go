package traffic

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// authQuery is what PgBouncer asks a server for the secrets of users that are not
// in auth_file. It asks where the entry leads: after the switch the new place.
type authQuery struct {
	user, text string
	was, will  map[string]string // what it answers, where it could be asked; by user
}

func (q authQuery) is() bool { return q.user != "" }

// setQuery: what the entry says goes before what is said for all.
func (l *logins) setQuery() {
	l.query = authQuery{user: l.settings["auth_user"], text: l.settings["auth_query"]}
	if own := l.own["auth_user"]; own != "" {
		l.query.user = own
	}
	if own := l.own["auth_query"]; own != "" {
		l.query.text = own
	}
}

// askQuery looks whether auth_query answers at the new place as it does in
// production: its functions, and itself, as auth_user, where that gets in by a
// password that PgBouncer has or by none.
func (l *logins) askQuery(ctx context.Context) error {
	if !l.query.is() {
		return nil
	}
	if remote := l.askedRemote(); remote != "" {
		l.note(plans.Warning, "auth-dbname", fmt.Sprintf("auth_query is asked in the entry %s, which the cutover does not redirect: once the old server is gone, no user that is not in auth_file gets in", remote),
			"lead auth_dbname to the shadow's server after the cutover, or take it out")
		return nil
	}
	before := len(l.found)
	moves, err := l.compareFunctions(ctx)
	if err != nil {
		return err
	}
	known := moves || len(l.found) > before // why it fails now
	names := l.users()
	was, err := l.answers(ctx, l.was, names)
	if err != nil {
		return nil //nolint:nilerr // it does not answer today
	}
	will, err := l.answers(ctx, l.will, names)
	if refused := answerOf(err).refused; refused != nil && !known && refused.Code != connectPrivilege {
		l.block("auth-query", fmt.Sprintf("auth_query, as %s, answers in production, and fails at %s: %s (SQLSTATE %s)", l.query.user, l.target, refused.Message, refused.Code),
			"make there what it needs: the role with its password, the function, EXECUTE on it")
	}
	l.query.was, l.query.will = was, will
	return nil
}

// askedRemote is the entry in which auth_query is asked, where that is another
// one that stays.
func (l *logins) askedRemote() string {
	name := l.settings["auth_dbname"]
	if own := l.own["auth_dbname"]; own != "" {
		name = own
	}
	if name == "" || l.switched(name) {
		return ""
	}
	return name
}

// compareFunctions reports whether auth_query needs some that move with the swap.
func (l *logins) compareFunctions(ctx context.Context) (moves bool, err error) {
	ours, err := l.ours.functions(ctx, l.query.text, l.query.user)
	if err != nil {
		return false, err
	}
	theirs, err := l.theirs.functions(ctx, l.query.text, l.query.user)
	if err != nil {
		return false, err
	}
	for _, f := range ours {
		at := slices.IndexFunc(theirs, func(t function) bool { return t.Name == f.Name })
		switch {
		case slices.Contains(l.plan.Production.Schemas, f.Schema):
			moves = true
		case !f.Executable: // of another name, or not what is called
		case at < 0:
			l.block("auth-query", "auth_query names "+f.Name+", which stays behind: the shadow's database has no such function", "make it there, as production has it; pg_dump writes its statement")
		case !theirs[at].Executable:
			l.block("auth-query", fmt.Sprintf("%s may not execute %s in the shadow's database", l.query.user, f.Name),
				"on the shadow's server: GRANT EXECUTE ON FUNCTION "+f.Name+" TO "+pg.Ident(l.query.user)+";")
		case theirs[at].Definition != f.Definition:
			l.note(plans.Warning, "auth-function", f.Name+", which auth_query names, is another function in the shadow's database than in production", "see that it lets in whom it is to let in")
		}
	}
	return moves, nil
}

// answers asks for each user. An error is the server's, or no login.
func (l *logins) answers(ctx context.Context, d door, users []string) (map[string]string, error) {
	secret := l.secrets[l.query.user]
	if kind := kindOf(secret); kind != plain && kind != nothing {
		return nil, fmt.Errorf("PgBouncer has a %s of %s, and only PgBouncer can log in by that", kind, l.query.user)
	}
	conn, a := d.open(ctx, l.query.user, secret)
	if a.refused != nil {
		return nil, a.refused
	}
	if a.err != nil {
		return nil, a.err
	}
	defer func() { _ = conn.Close(ctx) }()
	found := map[string]string{}
	for _, user := range users {
		result := conn.ExecParams(ctx, l.query.text, [][]byte{[]byte(user)}, nil, nil, nil).Read()
		if result.Err != nil {
			return nil, result.Err
		}
		if secret, ok := secretIn(result); ok {
			found[user] = secret
		}
	}
	return found, nil
}

// secretIn is the second column of the only row; NULL is no password.
func secretIn(result *pgconn.Result) (string, bool) {
	if len(result.Rows) == 0 || len(result.Rows[0]) < 2 {
		return "", false
	}
	return string(result.Rows[0][1]), true
}
