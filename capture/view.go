package capture

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// journalViews finds the journals of all runs, by the two tables behind each.
func journalViews(ctx context.Context, db pg.Querier) ([]pg.Name, error) {
	names, err := ownNames(ctx, db, `SELECT c.relname FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'pgumbra' AND c.relkind = 'v' AND c.relname ~ $1
		ORDER BY pg_catalog.length(c.relname), c.relname`, `^(journal|reverse)_[0-9]+_[0-9]+$`)
	if err != nil {
		return nil, fmt.Errorf("find the journals: %w", err)
	}
	return names, nil
}

// showAll makes the view pgumbra.journal anew, for people: all entries of the
// journals that are there, in order. No journals: no view. Waits for who reads
// the view, a moment at a time.
func showAll(ctx context.Context, locks locker) error {
	err := locks.run(ctx, accessExclusive, nil, func(tx pgx.Tx) error {
		// One at a time: two runs may come and go at once.
		if _, err := tx.Exec(ctx, `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('pgumbra.journal'))`); err != nil {
			return err
		}
		journals, err := journalViews(ctx, tx)
		if err != nil {
			return err
		}
		script := "DROP VIEW IF EXISTS pgumbra.journal;\n"
		if len(journals) > 0 {
			selects, err := entrySelects(ctx, tx, journals)
			if err != nil {
				return err
			}
			script += "CREATE VIEW pgumbra.journal AS " + strings.Join(selects, " UNION ALL ") + " ORDER BY seq"
		}
		_, err = tx.Exec(ctx, script)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the view pgumbra.journal: %w", err)
	}
	return nil
}

// entrySelects reads which columns each journal has: it may belong to another
// run, whose plan is not at hand.
func entrySelects(ctx context.Context, tx pgx.Tx, journals []pg.Name) ([]string, error) {
	var wanted []string
	for _, j := range journals {
		wanted = append(wanted, j.Name)
	}
	captured, err := control.AllCaptured(ctx, tx)
	if err != nil {
		return nil, err
	}
	tables := map[string]string{} // by the journal's view
	for _, c := range captured {
		tables[Journal{Run: c.Run, Direction: c.Direction, N: c.N}.Name().Name] = c.Production
	}
	rows, err := tx.Query(ctx, `SELECT c.relname,
			ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
			      WHERE a.attrelid = c.oid AND (a.attname ~ '^k_' OR a.attname = 'img') ORDER BY a.attname LIKE 'k%' DESC, a.attnum),
			EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'seq' AND a.atttypid = 'bigint'::pg_catalog.regtype)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'pgumbra' AND c.relname = ANY ($1)
		ORDER BY pg_catalog.length(c.relname), c.relname`, wanted)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var name string
		var columns []string
		var sequenced bool
		err := row.Scan(&name, &columns, &sequenced)
		return entrySelect(name, tables[name], columns, sequenced), err
	})
}

// entrySelect shows one journal. The key is a text of one row; of a keyless
// table it is the whole row. The numbers of a sequence are shown as positions.
func entrySelect(journal, table string, columns []string, sequenced bool) string {
	seq := "seq"
	if sequenced {
		seq = "'0/0'::pg_catalog.pg_lsn OPERATOR(pg_catalog.+) seq::numeric AS seq"
	}
	key := "NULL::text"
	switch {
	case len(columns) > 0 && columns[0] != "img":
		keys := columns
		if columns[len(columns)-1] == "img" {
			keys = columns[:len(columns)-1]
		}
		key = "ROW(" + pg.Idents(keys) + ")::text"
	case len(columns) > 0:
		key = "img::text"
	}
	if table == "" {
		table = journal
	}
	return fmt.Sprintf("SELECT %s, %s AS table, op, xid, CASE WHEN op <> 't' THEN %s ELSE member::pg_catalog.regclass::text END AS key FROM %s",
		seq, pg.Literal(table)+"::text", key, own(journal).Quoted())
}
