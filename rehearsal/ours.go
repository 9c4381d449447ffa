package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// A dump of production while a run is under way holds the run's triggers, and of the
// schemas that they call into nothing: no server takes it. What they call is made
// first, to do nothing, and goes again with the triggers.
var (
	calledOfOurs = regexp.MustCompile(`\b(EXECUTE FUNCTION )?(pgumbra(?:_[a-z0-9_]+)?)\.([a-z0-9_]+)\(`)
	schemaOfOurs = regexp.MustCompile(`^CREATE SCHEMA (pgumbra(?:_[a-z0-9_]+)?);`)
)

// ownParts are what a dump holds of a run of ours.
type ownParts struct {
	made      map[string]bool   // schemas that it makes itself
	functions map[string]string // by their quoted names what each returns
}

// note looks at a line of a dump.
func (o *ownParts) note(line string) {
	if m := schemaOfOurs.FindStringSubmatch(line); m != nil {
		o.made[m[1]] = true
	}
	if !strings.HasPrefix(line, "CREATE TRIGGER ") && !strings.HasPrefix(strings.TrimLeft(line, " "), "EXECUTE FUNCTION ") {
		return
	}
	for _, m := range calledOfOurs.FindAllStringSubmatch(line, -1) {
		returns := "boolean" // asked by WHEN
		switch {
		case m[1] != "" && strings.HasPrefix(line, "CREATE TRIGGER "):
			returns = "trigger"
		case m[1] != "":
			returns = "event_trigger"
		}
		o.functions[pg.Name{Schema: m[2], Name: m[3]}.Quoted()] = returns
	}
}

// standIns make what the dump calls and does not hold.
func (o *ownParts) standIns() (statements []string) {
	for _, name := range slices.Sorted(maps.Keys(o.functions)) {
		schema, _, _ := strings.Cut(name, ".")
		if o.made[strings.Trim(schema, `"`)] {
			continue
		}
		body := "BEGIN RETURN NULL; END"
		if o.functions[name] == "event_trigger" {
			body = "BEGIN END"
		}
		statements = append(statements, "CREATE SCHEMA IF NOT EXISTS "+schema,
			fmt.Sprintf("CREATE FUNCTION %s() RETURNS %s LANGUAGE plpgsql AS '%s'", name, o.functions[name], body))
	}
	return statements
}

// withoutOurs drops what a dump held of a run of ours.
const withoutOurs = `DO $$ DECLARE
	name text;
BEGIN
	FOR name IN SELECT e.evtname FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid
		JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname ~ '^pgumbra(_|$)' LOOP
		EXECUTE pg_catalog.format('DROP EVENT TRIGGER %I', name);
	END LOOP;
	FOR name IN SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname ~ '^pgumbra(_|$)' LOOP
		EXECUTE pg_catalog.format('DROP SCHEMA %I CASCADE', name);
	END LOOP;
END $$`

// dropOurs after the restore, where the dump held anything.
func (r *rehearsal) dropOurs(ctx context.Context) error {
	if len(r.ours.functions)+len(r.ours.made) == 0 {
		return nil
	}
	return r.execute(ctx, func(conn *pgx.Conn) error {
		if err := pg.ExecScript(ctx, conn, "SET client_min_messages = warning;\n"+withoutOurs); err != nil {
			return fmt.Errorf("drop what the dump holds of a run of pgumbra: %w", err)
		}
		return nil
	})
}
