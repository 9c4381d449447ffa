package upgrade

import (
	"context"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// keptByOlder reports whether a record could not be read because an older pgumbra made
// it, which knew fewer tables and columns.
func keptByOlder(ctx context.Context, conn *pgx.Conn, cause error) (bool, error) {
	if state := pg.State(cause); state != pgerrcode.UndefinedTable && state != pgerrcode.UndefinedColumn {
		return false, nil
	}
	return control.Older(ctx, conn)
}

// readOlder is what can be said of a run whose record an older pgumbra keeps: where it
// stands and who leads it.
func readOlder(ctx context.Context, conn *pgx.Conn, file *planfile.File) (*Status, error) {
	s := newStatus(file)
	err := pg.RepeatableRead(ctx, conn, func(tx pgx.Tx) error {
		run, err := control.Find(ctx, tx, file.Name)
		if err != nil {
			return err
		}
		s.Phase = &run.Phase
		s.Blockers = append(s.Blockers, "the run's record is an older pgumbra's, so that status cannot show all of it; pgumbra run brings the record up to date and goes on")
		return s.readStanding(ctx, tx, run)
	})
	return s, err
}
