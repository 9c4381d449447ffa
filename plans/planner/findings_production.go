package planner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// checkProduction looks for what stands against a run whatever the migrations do.
func (m *survey) checkProduction(ctx context.Context) error {
	for _, check := range []func(context.Context) error{
		m.checkPrivileges, m.checkPath, m.checkNames, m.checkRuns, m.checkState, m.checkConditions,
	} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkPath: what stands in schemas that production's search_path has before pg_catalog,
// and would take the place of something there, sessions of ours do not see. A migration
// or transform that means it would come out otherwise than in place.
func (m *survey) checkPath(ctx context.Context) error {
	if len(m.session.Before) == 0 {
		return nil
	}
	rows, err := m.db.Query(ctx, `WITH before AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = ANY ($1))
		SELECT format('%I.%I', b.nspname, o.proname) FROM before b JOIN pg_proc o ON o.pronamespace = b.oid
			JOIN pg_proc c ON c.pronamespace = 'pg_catalog'::regnamespace AND c.proname = o.proname AND c.proargtypes = o.proargtypes
		UNION SELECT format('operator %I.%s', b.nspname, o.oprname) FROM before b JOIN pg_operator o ON o.oprnamespace = b.oid
			JOIN pg_operator c ON c.oprnamespace = 'pg_catalog'::regnamespace AND c.oprname = o.oprname AND (c.oprleft, c.oprright) = (o.oprleft, o.oprright)
		UNION SELECT format('%I.%I', b.nspname, o.typname) FROM before b JOIN pg_type o ON o.typnamespace = b.oid
			JOIN pg_type c ON c.typnamespace = 'pg_catalog'::regnamespace AND c.typname = o.typname
		ORDER BY 1`, m.session.Before)
	if err != nil {
		return fmt.Errorf("look before pg_catalog: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look before pg_catalog: %w", err)
	}
	for _, name := range names {
		m.blocker("catalog-overridden", name, "production's search_path has its schema before pg_catalog, so that it takes the place of what PostgreSQL has under this name; no session of pgumbra would run it",
			"drop or rename it, or leave pg_catalog out of the search_path of production.dsn's role, where it comes first")
	}
	return nil
}

// checkNames: the shadow's and the old side's schemas are free, or ours.
func (m *survey) checkNames(ctx context.Context) error {
	if err := m.checkControl(ctx, m.db); err != nil {
		return err
	}
	live, err := m.live(ctx)
	switch {
	case err != nil:
		return err
	case live:
		return m.nameAsBegun(ctx)
	}
	if err := m.nameBesideKept(ctx); err != nil {
		return err
	}
	for _, s := range m.plan.Schemas {
		for _, name := range []string{s.Shadow, s.Old} {
			if m.exists(name) {
				m.blocker("name-taken", name, fmt.Sprintf("a schema %s exists already", name),
					"drop it if it is what an earlier run left behind (finish --drop-old), or choose another name: for the run")
			}
		}
	}
	return nil
}

// nameBesideKept gives the old side another name where a finished run of this one's name
// kept its own.
func (m *survey) nameBesideKept(ctx context.Context) error {
	runs, err := control.History(ctx, m.db)
	if err != nil || !slices.ContainsFunc(runs, func(r control.Past) bool { return r.Name == m.file.Name && r.Phase == control.Finished }) {
		return err
	}
	for i := range m.plan.Schemas {
		s := &m.plan.Schemas[i]
		kept := s.Old
		for n := 2; m.exists(s.Old); n++ {
			s.Old = oldSchema(m.file.Name, n, s.Production)
		}
		if s.Old != kept {
			m.info("old-side-kept", kept, "an earlier run of this name kept its old side here; this run's will be "+s.Old, "DROP SCHEMA "+pg.Ident(kept)+" CASCADE, once nobody needs it")
		}
	}
	return nil
}

func (m *survey) exists(schema string) bool {
	_, ok := m.production.Schema(schema)
	return ok
}

// nameAsBegun gives the old side the name that the run under way began with.
func (m *survey) nameAsBegun(ctx context.Context) error {
	run, err := control.Find(ctx, m.db, m.file.Name)
	if err != nil {
		return err
	}
	for i := range m.plan.Schemas {
		if begun, ok := run.Plan.SchemaFor(m.plan.Schemas[i].Production); ok {
			m.plan.Schemas[i].Old = begun.Old
		}
	}
	return nil
}

// checkControl: a schema of the control schema's name is ours, by its version
// table, or empty.
func (m *task) checkControl(ctx context.Context, db pg.Querier) error {
	var foreign bool
	err := db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid)
			AND NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = 'version')
		FROM (SELECT to_regnamespace('pgumbra') AS oid) n`).Scan(&foreign)
	if err != nil {
		return fmt.Errorf("look at the control schema: %w", err)
	}
	if foreign {
		m.blocker("name-taken", "pgumbra", "a schema pgumbra exists, and it is not the control schema of pgumbra",
			"rename it: ALTER SCHEMA pgumbra RENAME TO another_name;")
		return errBlocked
	}
	return nil
}

// live reports whether the run of the plan file is under way.
func (m *survey) live(ctx context.Context) (bool, error) {
	all, err := m.runs(ctx, true)
	return slices.Contains(all, m.file.Name), err
}

// runs lists runs that are not over: all of them, or those that hold a schema
// of ours.
func (m *survey) runs(ctx context.Context, all bool) ([]string, error) {
	live, err := control.LiveRuns(ctx, m.db)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range live {
		if all || slices.ContainsFunc(r.Schemas, m.moving) {
			names = append(names, r.Name)
		}
	}
	return names, nil
}

func (m *survey) checkRuns(ctx context.Context) error {
	others, err := m.runs(ctx, false)
	if err != nil {
		return err
	}
	for _, name := range others {
		if name != m.file.Name {
			m.blocker("another-run", name, fmt.Sprintf("run %s is under way on the same schemas", name), "finish or abort it first")
		}
	}
	return nil
}

// preparedToStay counts prepared transactions that are still there after a second.
// Where a transaction manager is at work there is always one, over in
// milliseconds.
func (m *survey) preparedToStay(ctx context.Context) (int, error) {
	until := time.After(time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	var seen []string
	for first := true; ; first = false {
		err := m.db.QueryRow(ctx, `SELECT coalesce(array_agg(gid), '{}') FROM pg_prepared_xacts
			WHERE database = current_database() AND ($1 OR gid = ANY ($2))`, first, seen).Scan(&seen)
		if err != nil {
			return 0, fmt.Errorf("look for prepared transactions: %w", err)
		}
		if len(seen) == 0 {
			return 0, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-until:
			return len(seen), nil
		case <-again.C:
		}
	}
}

// checkState: what production holds that a run cannot take along, or that would
// act on it.
func (m *survey) checkState(ctx context.Context) error {
	prepared, err := m.preparedToStay(ctx)
	if err != nil {
		return err
	}
	if prepared > 0 {
		m.blocker("prepared-transactions", m.session.Database, fmt.Sprintf("%d prepared transactions are open: they hold locks that the swap needs, and outlive every session", prepared),
			"COMMIT PREPARED or ROLLBACK PREPARED those in pg_prepared_xacts")
	}
	var largeObjects int
	err = m.db.QueryRow(ctx, `SELECT count(*) FROM (SELECT FROM pg_largeobject_metadata LIMIT 1000) l`).Scan(&largeObjects)
	if err != nil {
		return fmt.Errorf("read production's state: %w", err)
	}
	if largeObjects > 0 && m.plan.Remote {
		m.blocker("large-objects", m.session.Database, "the database holds large objects, which cannot be carried to another one: no trigger fires for them",
			"move their content into bytea columns beforehand, or take them away: SELECT lo_unlink(oid) FROM pg_largeobject_metadata;")
	} else if largeObjects > 0 {
		m.warning("large-objects", m.session.Database, "the database holds large objects: they stay as they are, and changes of theirs are not captured", "")
	}
	return nil
}
