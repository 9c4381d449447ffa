package capture

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// numbering is where the numbers of a journal's entries come from, as SQL text.
type numbering struct {
	columnType string
	next       string
}

// byPosition numbers entries by WAL's insert position. Within a transaction it
// grows from entry to entry, since each of them is written to WAL.
var byPosition = numbering{"pg_catalog.pg_lsn", "pg_catalog.pg_current_wal_insert_lsn()"}

func (t *target) numbering() numbering {
	if t.sequenced {
		return numbering{"bigint", "pg_catalog.nextval(" + regclass(sequence(t.Run)) + ")"}
	}
	return byPosition
}

// takeNumber begins entries that share one number.
func (t *target) takeNumber() string { return "own.seq := " + t.numbering().next + "; " }

// readNumbering looks at the journal, where there is one already.
func (t *target) readNumbering(ctx context.Context, db pg.Querier) error {
	err := db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass($1)
		AND a.attname = 'seq' AND a.atttypid = 'bigint'::pg_catalog.regtype)`, t.Tables()[0].Quoted()).Scan(&t.sequenced)
	if err != nil {
		return fmt.Errorf("look at the journal of %s: %w", t.Table, err)
	}
	return nil
}
