package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/behind"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// behindTrial is what the migrations behind the fence make of scratch, in a
// transaction that is rolled back: relations and columns keep their numbers through
// it, so that it is known which is which.
type behindTrial struct {
	catalog   *catalog.Catalog // nil: they fail there
	failed    string           // at which statement, and why
	triggered map[uint32]bool  // tables with triggers of the user's
	// refused are reverse expressions of the plan file that the server does not take, by
	// production's table and column.
	refused map[pg.Name]map[string]string
}

// sequencesApart gives sequences files of their own in a transaction, which take what it
// draws and sets along when it is rolled back: where the others left them is of the plan.
const sequencesApart = `DO $$ DECLARE
	s regclass; last bigint; called boolean;
BEGIN
	FOR s IN SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'S' AND relpersistence <> 't' AND pg_catalog.pg_has_role(relowner, 'USAGE') LOOP
		EXECUTE pg_catalog.format('SELECT last_value, is_called FROM %s', s) INTO last, called;
		EXECUTE pg_catalog.format('ALTER SEQUENCE %s RESTART', s);
		PERFORM pg_catalog.setval(s, last, called);
	END LOOP;
END $$`

// tryBehind runs them on the empty structure that was built before the fence. What
// fails there may go well on rows; then nothing is known of what it names.
func (m *trial) tryBehind(ctx context.Context) error {
	if m.plan.Behind == nil {
		return nil
	}
	config, err := m.scratch.clientConfig(m.session)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // and with it goes its transaction
	if err := catalog.SetAll(ctx, conn, m.client.left.settings); err != nil {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	m.behind = &behindTrial{triggered: map[uint32]bool{}, refused: map[pg.Name]map[string]string{}}
	if err := pg.ExecScript(ctx, conn, sequencesApart); pg.State(err) != "" {
		m.behind.failed = "its sequences cannot be set apart: " + serverMessage(err)
		return nil
	} else if err != nil {
		return err
	}
	if err := m.tryDeferred(ctx, tx); err != nil {
		return err
	}
	session := &behind.Session{Conn: conn, Each: m.plan.Behind.Each, Rowless: true}
	for _, f := range m.plan.Behind.Files {
		if m.behind.failed, err = failsBehind(session.Run(ctx, f)); err != nil || m.behind.failed != "" {
			m.plan.Behind.Unseen = m.behind.failed
			return err
		}
		if err := m.lookAfter(f.Name, func() (*catalog.Catalog, error) { return readBetween(ctx, tx) }); err != nil {
			return err
		}
	}
	return m.readBehind(ctx, tx)
}

// tryDeferred puts the rows there that the files may build on, as far as they go in beside
// none of production's, and makes of tables what they will be.
func (m *trial) tryDeferred(ctx context.Context, tx pgx.Tx) error {
	shapes := slices.ContainsFunc(m.plan.AtSwapTexts(), plans.Shapes)
	if len(m.plan.Behind.Files) == 0 && !shapes {
		return nil
	}
	for _, s := range m.plan.AtSwapTexts() {
		err := pgx.BeginFunc(ctx, tx, func(point pgx.Tx) error { return pg.ExecScript(ctx, point.Conn(), s) })
		if err != nil && pg.State(err) == "" {
			return err
		}
	}
	return nil
}

// readBetween reads the catalogs within the files' transaction, whose search_path stays.
func readBetween(ctx context.Context, tx pgx.Tx) (*catalog.Catalog, error) {
	var path string
	err := tx.QueryRow(ctx, `SELECT pg_catalog.current_setting('search_path'), pg_catalog.set_config('search_path', 'pg_catalog', true)`).Scan(&path, nil)
	if err != nil {
		return nil, err
	}
	now, err := catalog.Read(ctx, tx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, `SELECT pg_catalog.set_config('search_path', $1, true)`, path)
	return now, err
}

// failsBehind says which statement of a file failed there, and why; "": none did. An error
// that is not the server's is returned.
func failsBehind(err error) (failed string, other error) {
	at := new(behind.Failed)
	if !errors.As(err, &at) || pg.State(err) == "" {
		return "", err
	}
	return fmt.Sprintf("%s fails on the empty structure: %s", at.Statement.At(at.File.Name), serverMessage(err)), nil
}

// readBehind reads what there is then.
func (m *trial) readBehind(ctx context.Context, tx pgx.Tx) error {
	if err := m.checkReverseBehind(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `SET LOCAL search_path = pg_catalog`); err != nil {
		return err
	}
	found, err := catalog.Read(ctx, tx)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT DISTINCT tgrelid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'`)
	if err != nil {
		return err
	}
	var oid uint32
	_, err = pgx.ForEachRow(rows, []any{&oid}, func() error {
		m.behind.triggered[oid] = true
		return nil
	})
	m.behind.catalog = found
	return err
}

// checkReverseBehind lets the server read the plan file's reverse expressions over the
// tables as they are after the migrations.
func (m *trial) checkReverseBehind(ctx context.Context, tx pgx.Tx) error {
	for _, rules := range m.file.Tables {
		was := m.before.ByName(rules.Name)
		if was == nil || len(rules.Reverse) == 0 {
			continue
		}
		var now string
		if err := tx.QueryRow(ctx, `SELECT pg_catalog.format('%I.%I AS %I', n.nspname, c.relname, c.relname) FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`, was.OID).Scan(&now); errors.Is(err, pgx.ErrNoRows) {
			continue
		} else if err != nil {
			return err
		}
		if err := m.checkExpressionsBehind(ctx, tx, rules, now); err != nil {
			return err
		}
	}
	return nil
}

func (m *trial) checkExpressionsBehind(ctx context.Context, tx pgx.Tx, rules planfile.TableRules, from string) error {
	m.behind.refused[rules.Name] = map[string]string{}
	for column, e := range rules.Reverse {
		point, err := tx.Begin(ctx) // an error must not end the transaction
		if err != nil {
			return err
		}
		_, refused := point.Exec(ctx, "EXPLAIN SELECT ("+e.SQL+") FROM ONLY "+from)
		if err := point.Rollback(ctx); err != nil {
			return err
		}
		if pg.State(refused) != "" {
			m.behind.refused[rules.Name][column] = serverMessage(refused)
		} else if refused != nil {
			return refused
		}
	}
	return nil
}
