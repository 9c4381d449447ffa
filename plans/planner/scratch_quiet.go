package planner

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed scratch_quiet.sql
var quietSQL string

// giveBodiesBack ends what quietSQL began. Expressions are stored as they are written,
// not as they were computed, so nothing remembers that the functions were empty.
const giveBodiesBack = `UPDATE pg_proc p SET prolang = b.language, prosrc = b.source, prosqlbody = b.tree FROM pgumbra_quiet.body b WHERE b.function = p.oid;
DROP EVENT TRIGGER pgumbra_quiet;
DROP FUNCTION pgumbra_quiet.hush();
DROP TABLE pgumbra_quiet.body;
DROP SCHEMA pgumbra_quiet;
RESET session_replication_role`

// quietly restores something in scratch without calling what others wrote. A role
// that is no superuser may not keep functions still, and has only its own rights to lose.
func (s *scratch) quietly(ctx context.Context, restore func() error) error {
	err := s.db.QueryRow(ctx, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&s.super)
	if err != nil {
		return fmt.Errorf("ask who we are in scratch: %w", err)
	}
	if !s.super {
		return restore()
	}
	if err := pg.ExecScript(ctx, s.db, quietSQL); err != nil {
		return fmt.Errorf("keep the functions in scratch still: %w", err)
	}
	if err := restore(); err != nil {
		return err
	}
	if err := pg.ExecScript(ctx, s.db, giveBodiesBack); err != nil {
		return fmt.Errorf("give the functions in scratch their bodies: %w", err)
	}
	return nil
}
