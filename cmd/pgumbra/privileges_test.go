package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestRoleWithoutSuperuser types the statements that docs/privileges.md lists,
// one after the other, as the plan asks for them; with them the whole upgrade
// succeeds, and leaves owners and everything else as a superuser's.
func TestRoleWithoutSuperuser(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	o := operatorOf(t, small.with(`CREATE TABLE shop.kinds (code text PRIMARY KEY); INSERT INTO shop.kinds VALUES ('a');`,
		map[string]string{"3_seed.up.sql": "INSERT INTO shop.kinds VALUES ('a'), ('b') ON CONFLICT DO NOTHING;\nDO $$ BEGIN PERFORM 1; END $$;"}, ""))
	role := "deploy_" + o.database()
	owner := "owner_" + o.database()
	third := "third_" + o.database() // may not create in the schema
	o.sql(fmt.Sprintf(`CREATE ROLE %[1]s LOGIN; CREATE ROLE %[2]s; CREATE ROLE %[3]s;
		CREATE VIEW shop.grouped AS SELECT id, t FROM shop.c GROUP BY id; ALTER VIEW shop.grouped OWNER TO %[3]s;
		CREATE FUNCTION shop.one() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION shop.one() OWNER TO %[3]s;
		CREATE TYPE shop.band AS RANGE (subtype = numeric); ALTER TYPE shop.band OWNER TO %[2]s;
		ALTER SCHEMA shop OWNER TO %[2]s; ALTER TABLE shop.a OWNER TO %[2]s; ALTER TABLE shop.c OWNER TO %[3]s; ALTER TABLE shop.kinds OWNER TO %[2]s;
		ALTER TABLE public.schema_migrations OWNER TO %[2]s`, role, owner, third))
	admin := o.dsn
	t.Cleanup(func() {
		o.dsn = admin
		o.sql(fmt.Sprintf("REASSIGN OWNED BY %[1]s, %[2]s, %[3]s TO postgres; DROP OWNED BY %[1]s, %[2]s, %[3]s; DROP ROLE %[1]s, %[2]s, %[3]s", role, owner, third))
	})
	as := strings.Replace(admin, "postgres@", role+"@", 1)
	o.plan(setting{plan: strings.ReplaceAll("name: up\nproduction: {dsn: \"DSN\", schemas: [shop]}\nmigrations: {path: migrations}\n", "DSN", as)})

	grants := []string{
		fmt.Sprintf(`GRANT %s TO %s;`, pgx.Identifier{owner}.Sanitize(), pgx.Identifier{role}.Sanitize()),
		fmt.Sprintf(`GRANT %s TO %s;`, pgx.Identifier{third}.Sanitize(), pgx.Identifier{role}.Sanitize()),
		fmt.Sprintf(`GRANT CREATE ON DATABASE %s TO %s;`, pgx.Identifier{o.database()}.Sanitize(), pgx.Identifier{role}.Sanitize()),
		fmt.Sprintf(`GRANT pg_read_all_stats TO %s;`, pgx.Identifier{role}.Sanitize()),
		fmt.Sprintf(`ALTER ROLE %s CREATEDB`, pgx.Identifier{role}.Sanitize()),
	}
	for _, grant := range grants {
		p := o.do(ctx, exitFindings, "plan")
		if !strings.Contains(p.out.String(), grant) {
			t.Errorf("the plan does not ask for %q:\n%s", grant, &p.out)
		}
		o.sql(grant)
	}
	if said := o.do(ctx, exitDone, "plan").out.String(); !strings.Contains(said, "GRANT SET ON PARAMETER session_replication_role TO ") {
		t.Errorf("what the way back needs is not told:\n%s", said)
	}
	o.do(ctx, exitDone, "run", "--until", "copying")
	o.do(ctx, exitDone, "abort", "--purge")
	o.do(ctx, exitDone, "run", "--until", "following")
	o.do(ctx, exitDone, "verify")
	o.do(ctx, exitDone, "cutover")
	o.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	if got := o.query(ctx, `SELECT string_agg(relname || ' ' || relowner::regrole, ', ' ORDER BY relname) FROM pg_class
		WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'v')`); got != fmt.Sprintf("a %s, c %s, grouped %[2]s, kinds %[1]s", owner, third) {
		t.Errorf("owners after the upgrade: %s", got)
	}
	if got := o.query(ctx, `SELECT coalesce(array_to_string(nspacl, ' '), '') FROM pg_namespace WHERE nspname = 'shop'`); strings.Contains(got, third) {
		t.Errorf("a right that was lent is left: %s", got)
	}
}
