package traffic

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// role is what a server knows of one of its roles.
type role struct {
	Name    string
	Login   bool
	Connect bool // may connect to the database
	Expired bool // its password is
	Limit   int  // of its sessions; negative: none
	Secret  string
}

// roles are those of a server, by name; with secrets where they may be read.
type roles struct {
	db       *pgx.Conn
	known    map[string]role
	readable bool
	limit    int // of the database's sessions; negative: none
}

// readRoles asks a server by the plan's own connection string. The session stays
// open for questions about functions.
func readRoles(ctx context.Context, dsn string) (*roles, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*doorLimit)
	defer cancel()
	db, err := pg.Connect(ctx, dsn, pg.Options{Component: "traffic"})
	if err != nil {
		return nil, err
	}
	r := &roles{db: db, known: map[string]role{}}
	if err := r.read(ctx); err != nil {
		r.close()
		return nil, fmt.Errorf("read the roles: %w", err)
	}
	return r, nil
}

func (r *roles) read(ctx context.Context) error {
	err := r.db.QueryRow(ctx, `SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'), datconnlimit
		FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`).Scan(&r.readable, &r.limit)
	if err != nil {
		return err
	}
	from, secret := "pg_catalog.pg_roles", "''"
	if r.readable {
		from, secret = "pg_catalog.pg_authid", "coalesce(rolpassword, '')"
	}
	rows, err := r.db.Query(ctx, `SELECT rolname::text, rolcanlogin, pg_catalog.has_database_privilege(oid, pg_catalog.current_database(), 'CONNECT'),
		coalesce(rolvaliduntil <= pg_catalog.clock_timestamp(), false), rolconnlimit, `+secret+` FROM `+from)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[role])
	for _, one := range all {
		r.known[one.Name] = one
	}
	return err
}

func (r *roles) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.db.Close(ctx)
}

// function is one that PgBouncer's auth_query names.
type function struct {
	Name, Schema string
	Definition   string // a hash
	Executable   bool   // by auth_user
}

// functions are those of users' schemas whose name stands in a text.
func (r *roles) functions(ctx context.Context, text, user string) ([]function, error) {
	rows, err := r.db.Query(ctx, `SELECT p.oid::pg_catalog.regprocedure::text, n.nspname::text,
			pg_catalog.md5(CASE WHEN p.prokind IN ('f', 'p') THEN pg_catalog.pg_get_functiondef(p.oid) ELSE '' END),
			coalesce((SELECT pg_catalog.has_function_privilege(u.oid, p.oid, 'EXECUTE') FROM pg_catalog.pg_roles u WHERE u.rolname = $2), false)
		FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
		  AND $1 ~ ('\m' || pg_catalog.regexp_replace(p.proname::text, '\W', '.', 'g') || '\M') ORDER BY 1`, text, user)
	if err != nil {
		return nil, fmt.Errorf("look for the functions of auth_query: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[function])
	if err != nil {
		return nil, fmt.Errorf("look for the functions of auth_query: %w", err)
	}
	return all, nil
}
