package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// restore fills scratch with production's structure, under its true names.
func (m *trial) restore(ctx context.Context, s *scratch) error {
	entries, err := dumpProduction(ctx, m.pgDump, m.file.Production.DSN)
	if err != nil {
		return m.dumpFailed(err)
	}
	m.dumped = entries
	entries, given := orderColumns(entries, m.production)
	m.otherOrder(given)
	m.dump = entries
	if err := m.dropPublic(ctx, s); err != nil {
		return err
	}
	err = s.quietly(ctx, func() error {
		return runEntries(ctx, s.db, slices.DeleteFunc(slices.Clone(entries), isGuard))
	})
	if err != nil {
		return m.restoreFailed(ctx, err)
	}
	if err := m.populate(ctx, s); err != nil {
		return err
	}
	return m.alignSequences(ctx, s)
}

// dumpProduction reads production's structure but for what is ours.
func dumpProduction(ctx context.Context, program pgdump.Program, dsn string, args ...string) ([]pgdump.Entry, error) {
	entries, err := program.Dump(ctx, dsn, "", append([]string{"--exclude-schema=pgumbra", "--exclude-schema=pgumbra_*"}, args...)...)
	return slices.DeleteFunc(entries, ours), err
}

func (m *survey) dumpFailed(err error) error {
	var dump *pgdump.Error
	if !errors.As(err, &dump) || !strings.Contains(dump.Messages, "permission denied") {
		return err
	}
	m.blocker("privileges", m.session.User, "pg_dump may not read the structure: "+dump.Messages,
		m.mayRead())
	return errBlocked
}

func (m *survey) restoreFailed(ctx context.Context, err error) error {
	var failed *entryError
	if !errors.As(err, &failed) {
		return err
	}
	fix := "see the server's message; scratch.dsn may name a server where it works"
	if pg.State(err) == pgerrcode.InsufficientPrivilege && failed.entry.Owner != "" {
		fix = mayActAs(ctx, m.db, failed.entry.Owner, m.session.User)
	}
	m.blocker("scratch-restore", objectOf(failed.entry),
		fmt.Sprintf("production's structure cannot be restored in scratch: %s", failed.Unwrap()), fix)
	return errBlocked
}

// ours tells what another run left on production's tables: it calls functions
// of the control schema, which scratch has not.
func ours(e pgdump.Entry) bool {
	if e.Tag != "TRIGGER" && e.Tag != "EVENT TRIGGER" {
		return false
	}
	tokens, _ := pgdump.Lex(e.SQL)
	for i := range len(tokens) - 3 {
		if tokens[i].Is("EXECUTE") && (tokens[i+1].Is("FUNCTION") || tokens[i+1].Is("PROCEDURE")) {
			schema, _ := tokens[i+2].Name()
			return tokens[i+3].Is(".") && (schema == "pgumbra" || strings.HasPrefix(schema, "pgumbra_"))
		}
	}
	return false
}

// dropPublic: template0 has a schema public; a production without one has not.
func (m *trial) dropPublic(ctx context.Context, s *scratch) error {
	if _, there := m.production.Schema("public"); there {
		return m.matchPublic(ctx, s)
	}
	_, err := s.db.Exec(ctx, "DROP SCHEMA IF EXISTS public")
	return err
}

// matchPublic gives scratch's schema public production's owner: pg_dump leaves
// out what it takes for its default. Where public stays, its owner matters to
// nobody, and need not be one whom we may give it to.
func (m *trial) matchPublic(ctx context.Context, s *scratch) error {
	public, _ := m.production.Schema("public")
	var owner string
	err := s.db.QueryRow(ctx, `SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public'`).Scan(&owner)
	if err != nil || owner == public.Owner {
		return err
	}
	_, err = s.db.Exec(ctx, "ALTER SCHEMA public OWNER TO "+pg.Ident(public.Owner))
	if pg.State(err) == pgerrcode.InsufficientPrivilege && !m.moving("public") {
		return nil
	}
	return err
}

// objectOf names an entry for people.
func objectOf(e pgdump.Entry) string {
	if e.Schema == "" {
		return strings.ToLower(e.Tag) + " " + e.Name
	}
	return strings.ToLower(e.Tag) + " " + e.Schema + "." + e.Name
}

// entryError is an entry that could not be run.
type entryError struct {
	entry pgdump.Entry
	cause error
}

func (e *entryError) Error() string { return objectOf(e.entry) + ": " + e.cause.Error() }
func (e *entryError) Unwrap() error { return e.cause }

// entriesAtOnce are run in one transaction: few enough for the lock table, many
// enough to save round trips.
const entriesAtOnce = 50

// runEntries runs a dump's entries in order. What a group stumbles over is run
// entry by entry. An entry may fail only where it says nothing of what moves: the
// comment on an extension and event triggers need a superuser.
func runEntries(ctx context.Context, conn *pgx.Conn, entries []pgdump.Entry) error {
	for group := range slices.Chunk(entries, entriesAtOnce) {
		var script strings.Builder
		for _, e := range group {
			script.WriteString(e.SQL + "\n;\n")
		}
		err := pg.ExecScript(ctx, conn, script.String())
		if err == nil {
			continue
		}
		if pg.State(err) == "" {
			return err
		}
		for _, e := range group {
			if err := runEntry(ctx, conn, e); err != nil && !tolerable(e) {
				return &entryError{entry: e, cause: err}
			}
		}
	}
	return nil
}

// runEntry runs one entry. Where we are no superuser an object can be given to
// its owner only while that role may create in the schema, which in production
// it may have been allowed later, by an entry that comes last, or never: it may
// for the moment.
func runEntry(ctx context.Context, conn *pgx.Conn, e pgdump.Entry) error {
	err := pg.ExecScript(ctx, conn, e.SQL)
	if pg.State(err) != pgerrcode.InsufficientPrivilege || e.Owner == "" || e.Schema == "" {
		return err
	}
	onSchema := "CREATE ON SCHEMA " + pg.Ident(e.Schema)
	again := pg.ExecScript(ctx, conn, "GRANT "+onSchema+" TO "+pg.Ident(e.Owner)+";\n"+e.SQL+"\n;\nREVOKE "+onSchema+" FROM "+pg.Ident(e.Owner))
	if again != nil {
		return err
	}
	return nil
}

func tolerable(e pgdump.Entry) bool {
	return e.Tag == "COMMENT" && strings.HasPrefix(e.Name, "EXTENSION ") ||
		e.Tag == "EVENT TRIGGER" || e.Tag == "COMMENT" && strings.HasPrefix(e.Name, "EVENT TRIGGER ") || e.Tag == "SECURITY LABEL"
}

// populate refreshes the materialized views that hold rows in production:
// migrations may refresh them CONCURRENTLY, which an unpopulated one refuses.
// One that cannot be computed over no rows stays as it is.
func (m *trial) populate(ctx context.Context, s *scratch) error {
	views := slices.Clone(m.production.Tables)
	views = slices.DeleteFunc(views, func(t *catalog.Table) bool { return t.Kind != "m" || !t.Populated })
	for progress := true; progress && len(views) > 0; {
		progress = false
		views = slices.DeleteFunc(views, func(t *catalog.Table) bool {
			_, err := s.db.Exec(ctx, "REFRESH MATERIALIZED VIEW "+t.Name.Quoted())
			progress = progress || err == nil
			return err == nil
		})
	}
	return ctx.Err()
}
